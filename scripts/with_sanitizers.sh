#!/usr/bin/env bash
# Runs a command with the sanitizers' options set: stop at the first finding, and say where it came from.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
symbolizer=$(command -v llvm-symbolizer-16 || true)
export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1:external_symbolizer_path=$symbolizer:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:suppressions=$root/scripts/tsan.supp:external_symbolizer_path=$symbolizer:${TSAN_OPTIONS:-}"
# Simulations run ten times slower here, and find what they find within a few seeds.
export POOLWARDEN_SEEDS="${POOLWARDEN_SEEDS:-20}"
exec "$@"
