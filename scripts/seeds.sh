#!/usr/bin/env bash
# seeds.sh COUNT: simulates so many clusters and so many drains (tests/scenarios/*seeds_test.cpp), in JOBS processes
# at once. Each process takes some blocks of seeds, as GoogleTest's sharding deals them out. A simulation of several
# replicas takes as long as ten of one: there is one for each ten.
set -euo pipefail
cd "$(dirname "$0")/.."
export POOLWARDEN_SEEDS=${1:?usage: scripts/seeds.sh COUNT} GTEST_TOTAL_SHARDS=8
# shellcheck disable=SC2016 # for the inner shell
for shard in {0..7}; do
  echo "$shard drain_seeds"
  echo "$shard seeds"
  echo "$shard replica_seeds"
done | xargs -P "${JOBS:-$(nproc)}" -L 1 sh -c '[ "$1" != replica_seeds ] || POOLWARDEN_SEEDS=$(((POOLWARDEN_SEEDS + 9) / 10))
    GTEST_SHARD_INDEX=$0 exec "build-debug/bin/$1" --gtest_brief=1'
