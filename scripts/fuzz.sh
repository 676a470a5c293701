#!/usr/bin/env bash
# fuzz.sh DIRECTORY SECONDS: runs each libFuzzer program (fuzz_*) of the directory for so many seconds, from the
# corpus in tests/fuzz/corpus/<name> if there is one. What it finds new is kept below the build directory.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=$1
seconds=$2
shopt -s nullglob
found=("$programs"/fuzz_*)
if ((${#found[@]} == 0)); then
  echo "fuzz: no fuzz_* programs in $programs" >&2
  exit 1
fi
for program in "${found[@]}"; do
  name=$(basename "$program")
  grown=$programs/../corpus/$name
  mkdir -p "$grown"
  corpora=("$grown")
  [[ -d tests/fuzz/corpus/${name#fuzz_} ]] && corpora+=("tests/fuzz/corpus/${name#fuzz_}")
  echo "fuzz: $name for $seconds s"
  scripts/with_sanitizers.sh "$program" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$grown-crash-" "${corpora[@]}" 2>&1 | tail -n 12
done
