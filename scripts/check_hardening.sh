#!/usr/bin/env bash
# Whether a program is hardened as cmake/Poolwarden.cmake has it: looks at the program itself, since a flag that is set
# may still be undone by another, or by the linker. Prints what is missing and fails if anything is.
#
#   scripts/check_hardening.sh PROGRAM        which must have its symbols; build/bin has, an image has not
#
# Needs binutils, which come with the compiler.
set -euo pipefail

program=${1:?usage: scripts/check_hardening.sh PROGRAM}
export LC_ALL=C

header=$(readelf -hW "$program")
segments=$(readelf -lW "$program")
dynamic=$(readelf -dW "$program")
imports=$(readelf -W --dyn-syms "$program")

missing=()
# expect WHAT COMMAND...: the command finds WHAT in the program.
expect() {
  local what=$1
  shift
  "$@" || missing+=("$what")
}

matches() { grep -qE "$1" <<<"$2"; }
pie() { matches '^ *Type: +DYN' "$header" && matches 'FLAGS_1.* PIE' "$dynamic"; }
bound_at_start() { matches '\((FLAGS|FLAGS_1)\).*NOW' "$dynamic"; }
data_is_not_code() { matches '^ *GNU_STACK .* RW +0x' "$segments"; }
# Of calls that are checked: __memcpy_chk and the like. __stack_chk_fail is the stack protector's.
fortified() { matches ' __[a-z0-9_]+_chk(@| |$)' "$imports"; }
# A function begins with the instruction that an indirect jump may lead to. main() stands for all.
marked() { matches 'endbr(32|64)' "$(objdump -d --no-show-raw-insn --disassemble=main "$program")"; }
# A frame of more than a page is touched page by page: sub $0x1000,%rsp, then orq $0,(%rsp), or clang's movq.
touched() {
  grep -qaP '\x48\x81\xec\x00\x10\x00\x00(\x48\x83\x0c\x24\x00|\x48\xc7\x04\x24\x00\x00\x00\x00)' "$program"
}

expect "a position-independent program (-fPIE, -pie)" pie
expect "read-only relocations (-z relro)" matches '^ *GNU_RELRO ' "$segments"
expect "symbols that are bound at the start (-z now)" bound_at_start
expect "a stack that is no code (-z noexecstack)" data_is_not_code
expect "the stack protector (-fstack-protector-strong)" matches ' __stack_chk_fail(@| |$)' "$imports"
expect "checked calls of libc (-D_FORTIFY_SOURCE)" fortified
expect "assertions of libstdc++ (-D_GLIBCXX_ASSERTIONS)" matches '__glibcxx_assert_fail' "$imports"
if matches 'Machine: +Advanced Micro Devices X86-64' "$header"; then
  expect "marks where jumps may lead (-fcf-protection)" marked
  expect "stack pages that are touched in order (-fstack-clash-protection)" touched
fi

if ((${#missing[@]} > 0)); then
  for what in "${missing[@]}"; do echo "check_hardening.sh: $program is without $what" >&2; done
  exit 1
fi
echo "check_hardening.sh: $program: hardened"
