#!/usr/bin/env bash
# Everything `make lint` checks. Prints what is wrong, with file and line, and fails if anything is.
#
#   scripts/lint.sh               all checks
#   scripts/lint.sh --no-tidy     all but clang-tidy, which takes minutes
#   scripts/lint.sh --fix-format  formats the sources and does nothing else
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

max_file_lines=600
jobs=${LINT_JOBS:-$(nproc)}

mapfile -t sources < <(git ls-files --cached --others --exclude-standard -- '*.h' '*.cpp' |
  while read -r file; do [[ -f $file ]] && echo "$file"; done)
mapfile -t shell_scripts < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run)

if [[ ${1:-} == --fix-format ]]; then
  exec clang-format-16 -i "${sources[@]}"
fi

failed=()
check() {
  local name=$1
  shift
  if "$@"; then echo "lint: $name: ok"; else
    echo "lint: $name: FAILED" >&2
    failed+=("$name")
  fi
}

format() { clang-format-16 --dry-run -Werror "${sources[@]}"; }
dependencies() { python3 scripts/check_dependencies.py; }
script_tests() { (cd scripts && python3 -m unittest -q check_dependencies_test image_test bench_peers_test 2>&1); }
file_lengths() {
  local long=0 lines file
  for file in "${sources[@]}"; do
    lines=$(wc -l <"$file")
    if ((lines > max_file_lines)); then
      echo "$file:1: $lines lines; a file has at most $max_file_lines" >&2
      long=1
    fi
  done
  return $long
}
shell() { shellcheck "${shell_scripts[@]}"; }
tidy() {
  # clang's own build directory: g++'s flags would be warned of. The compile commands are all it needs.
  cmake --preset clang --log-level=WARNING || return 1
  local out=build-clang/tidy.log
  if run-clang-tidy-16 -quiet -p build-clang -j "$jobs" "$PWD/operator/.*\.cpp$" >"$out" 2>&1; then return 0; fi
  grep -E '(warning|error):' "$out" | sort -u >&2
  echo "lint: all of it is in $out" >&2
  return 1
}

check "formatting" format
check "dependency rules" dependencies
check "tests of the scripts" script_tests
check "file lengths" file_lengths
check "shell scripts" shell
[[ ${1:-} == --no-tidy ]] || check "clang-tidy" tidy

if ((${#failed[@]} > 0)); then
  echo "lint: failed: ${failed[*]} (make fmt mends the formatting)" >&2
  exit 1
fi
