#!/usr/bin/env bash
# Runs the benchmarks of build/bin and prints what they measured. BENCH_FAST=1: seconds instead of minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/bin
min_time=1
calls=500
sizes=("20 50 200 50" "100 100 500 100")
if [[ ${BENCH_FAST:-} == 1 ]]; then
  min_time=0.05
  calls=20
  sizes=("5 20 40 40")
fi

echo "bench: $("$bin/poolwarden" --version), $(nproc) CPUs, load $(cut -d' ' -f1 /proc/loadavg)"
for program in bench_decode bench_withdrawal; do
  "$bin/$program" --benchmark_min_time="$min_time" --benchmark_context=program="$program" 2>/dev/null
done
echo
echo "What the transport takes, of this process alone:"
"$bin/bench_transport" "$calls" 50
echo
echo "The operator as a process, with 6.5 KiB pods:"
"$bin/bench_operator" header
for size in "${sizes[@]}"; do
  # shellcheck disable=SC2086  # four words
  "$bin/bench_operator" "$bin/poolwarden" $size
done
