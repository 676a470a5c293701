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
documentation() { python3 scripts/check_docs.py; }
script_tests() { (cd scripts && python3 -m unittest -q check_dependencies_test check_docs_test check_hardening_test bench_peers_test demo_test image_test llama_cpp_test mutants_test sbom_test tidy_test vllm_test 2>&1); }
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
# clang's own build directory, where each file is a compile command of its own and none has a flag of g++'s.
commands=build-clang/compile_commands.json
compile_commands() {
  local output
  output=$(cmake --preset clang --log-level=WARNING 2>&1) && return
  printf '%s\n' "$output" >&2
  return 1
}
# A source that no CMakeLists.txt lists is compiled by nobody, and a test in it never fails.
listed() {
  compile_commands || return 1
  local left
  mapfile -t left < <(comm -23 <(printf '%s\n' "${sources[@]}" | grep '\.cpp$' | grep -v '_probe\.cpp$' | sort) \
    <(sed -n "s|.*\"file\": \"$PWD/\(.*\)\".*|\1|p" "$commands" | sort -u))
  ((${#left[@]} > 0)) || return 0
  printf '%s: in no CMakeLists.txt, so nothing compiles it\n' "${left[@]}" >&2
  return 1
}
# One that no longer applies breaks nothing, and is found out only when all of them run.
mutants() {
  local patch stale=0
  for patch in tests/mutants/*.patch; do
    git apply --check "$patch" || {
      echo "$patch: does not apply to the source as it is" >&2
      stale=1
    }
  done
  return $stale
}
tidy() { compile_commands && python3 scripts/tidy.py build-clang "$jobs"; }

check "formatting" format
check "dependency rules" dependencies
check "documentation" documentation
check "tests of the scripts" script_tests
check "file lengths" file_lengths
check "shell scripts" shell
check "sources in the build" listed
check "mutants" mutants
[[ ${1:-} == --no-tidy ]] || check "clang-tidy" tidy

if ((${#failed[@]} > 0)); then
  echo "lint: failed: ${failed[*]} (make fmt mends the formatting)" >&2
  exit 1
fi
