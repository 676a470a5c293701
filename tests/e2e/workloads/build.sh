#!/usr/bin/env bash
# Gets a controller of others whose replicas a pool may scale, unmodified, from its Go module, and prints where it is:
#
#   build.sh lws                  the manager of LeaderWorkerSet
#   build.sh lws-manifests        the folder of its manifests, from the same module
#   build.sh rollouts             the controller of Argo Rollouts
#   build.sh rollouts-manifests   the folder of its manifests
#
# Kept in ~/.cache/poolwarden for the next time; the first takes minutes once. Needs Go (scripts/setup.sh e2e).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../go_tool.sh
. "$here/../go_tool.sh"

# module_folder NAME MODULE: where Go keeps the module that NAME/go.mod asks for.
module_folder() {
  local go
  go=$(go_for "$here/$1")
  GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod "$go" -C "$here/$1" mod download -json "$2" |
    sed -n 's|.*"Dir": "\(.*\)".*|\1|p'
}

case ${1:-} in
  lws) go_tool "$here/lws" lws ;;
  lws-manifests) echo "$(module_folder lws sigs.k8s.io/lws)/config" ;;
  rollouts) go_tool "$here/rollouts" rollouts ;;
  rollouts-manifests) echo "$(module_folder rollouts github.com/argoproj/argo-rollouts)/manifests" ;;
  *)
    echo "build.sh: name one of lws and rollouts, or its manifests, such as lws-manifests" >&2
    exit 2
    ;;
esac
