#!/usr/bin/env bash
# A control plane without nodes, for `make bench-peers`: etcd, API server and controller manager as the end-to-end tests
# build and start them, in a network namespace of their own.
#
#   control_plane.sh up --owner PID    prints the folder of its state; it goes down when that process is gone
#   control_plane.sh run COMMAND...    where it is
#   control_plane.sh down
#
# E2E_NAME tells it apart from other clusters. Nobody looks after nodes and pods here: no kubelet runs, and the two
# controllers that would take hollow ones away are off. The audit log is off too, which no cluster is slowed down by.
# CONTROLLER_QPS is what each controller may send in a second. Kubernetes' default of 20 is less than some rows delete, and
# all that they would show is that limit; so 500 here, as large clusters raise it.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../e2e/cluster/lib.sh
. "$folder/../../e2e/cluster/lib.sh"
# shellcheck source-path=SCRIPTDIR source=../../e2e/cluster/pki.sh
. "$here/pki.sh"
# shellcheck source-path=SCRIPTDIR source=../../e2e/cluster/components.sh
. "$here/components.sh"

qps=${CONTROLLER_QPS:-500}
# Of a flag that is given twice, the second counts.
declare -A more=(
  [apiserver]="--audit-log-path= --audit-policy-file="
  [controller-manager]="--controllers=*,-node-lifecycle-controller,-pod-garbage-collector-controller
    --kube-api-qps=$qps --kube-api-burst=$((2 * qps))"
)

launch() { # NAME COMMAND...
  local component=$1 flags
  shift
  read -d '' -ra flags <<<"${more[$component]:-}" || true # there is no delimiter: it reads to the end
  setsid nsenter --net="/run/netns/$name" "$@" "${flags[@]}" >>"$state/log/$component.log" 2>&1 </dev/null &
  record "$component" $!
}

up() { # OWNER
  local build
  build=$("$here/build.sh")
  # shellcheck disable=SC2034 # the functions that start components use it
  bin=$build/bin
  "$here/down.sh"
  mkdir -p "$state"/{pki,log,pids,config,etcd}
  chmod 700 "$state/pki"
  echo "$build" >"$state/build"
  # shellcheck disable=SC2016 # expanded by that shell
  setsid bash -c 'while [[ -d /proc/$1 ]]; do sleep 1; done; exec "$2"' watch-owner "$1" "$here/down.sh" \
    >>"$state/log/watch-owner.log" 2>&1 </dev/null &
  record watch-owner $!
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip -n "$name" address add "$node_ip/32" dev lo
  make_pki
  start_etcd
  start_apiserver
  until_true 180 "the API server" in_cluster_kubectl get --raw /readyz
  start_controller-manager
  until_true 120 "the default service account" in_cluster_kubectl get serviceaccount default
  say "the control plane of Kubernetes $(basename "${build%-*}") is up"
  echo "$state"
}

case ${1:-} in
  up)
    [[ ${2:-} == --owner ]] || die "up needs --owner PID"
    up "${3:?--owner needs a process id}"
    ;;
  run)
    shift
    build=$(<"$state/build")
    KUBECONFIG=$state/admin.kubeconfig PATH=$build/bin:$PATH exec nsenter --net="/run/netns/$name" "$@"
    ;;
  down) exec "$here/down.sh" ;;
  *) die "usage: control_plane.sh up --owner PID | run COMMAND... | down" ;;
esac
