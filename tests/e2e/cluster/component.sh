#!/usr/bin/env bash
# Stops or starts one component of the cluster, for tests of what happens meanwhile.
#
#   component.sh stop|kill|start|pid etcd|apiserver|controller-manager|scheduler|containerd|kubelet|proxy
#
# containerd and kubelet are node0's; node1's are containerd1 and kubelet1.
#
# "stop" ends it and waits until it is gone, "kill" does so with SIGKILL. "start" returns once the process
# runs, which is before it answers. "pid" prints its process id, or fails if it does not run.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=components.sh
. "$here/components.sh"

usage="usage: component.sh stop|kill|start|pid $(IFS='|' && echo "${components[*]}")"
action=${1:?$usage}
component=${2:?$usage}
[[ " ${components[*]} " == *" $component "* ]] || die "there is no component \"$component\". $usage"
[[ -f $state/build ]] || die "there is no cluster of this name; up.sh brings it up"
# shellcheck disable=SC2034 # read by the functions in components.sh
bin=$(<"$state/build")/bin

case $action in
  stop) stop "$component" ;;
  kill)
    if pid=$(pid_of "$component"); then kill -9 "$pid"; fi
    stop "$component"
    ;;
  start)
    if pid_of "$component" >/dev/null; then die "$component runs already"; fi
    "start_$component"
    ;;
  pid) pid_of "$component" ;;
  *) die "unknown action \"$action\". $usage" ;;
esac
