#!/usr/bin/env bash
# Gives images to the cluster, that is to the containerd of each of its nodes.
#
#   import.sh TAR...
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=components.sh
. "$here/components.sh"

[[ -f $state/build ]] || die "there is no cluster of this name; up.sh brings it up"
ctr=$(<"$state/build")/bin/ctr
for tar in "$@"; do
  [[ -f $tar ]] || die "there is no image $tar"
  imports=()
  for i in 0 1; do
    of_node $i
    "$ctr" --address "$socket" --namespace k8s.io images import "$tar" >"$state/log/import-$node.log" 2>&1 &
    imports+=($!)
  done
  for import in "${imports[@]}"; do wait "$import" || die "could not import $tar: $(cat "$state"/log/import-*.log)"; done
done
