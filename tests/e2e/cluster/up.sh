#!/usr/bin/env bash
# Brings up a Kubernetes cluster of two nodes, from what build.sh built, in a network namespace of its own:
# nothing it or its pods send can leave the machine. Takes about 15 seconds. Does nothing if the cluster is up
# already; clears what a dead one left.
#
#   up.sh [--owner PID]    with an owner, the cluster goes down by itself when that process is gone, however it ended
#
# E2E_NAME tells clusters apart (default: one for each checkout), E2E_KUBERNETES chooses the version (build.sh lists
# them; a cluster that is up keeps its own). There is no DNS and no network policy in it.
# etcd, API server, controller manager, scheduler, kube-proxy and each node's containerd and kubelet are processes
# of this machine; component.sh stops and starts one of them.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=pki.sh
. "$here/pki.sh"
# shellcheck source-path=SCRIPTDIR source=components.sh
. "$here/components.sh"

owner=
if [[ ${1:-} == --owner ]]; then owner=${2:?--owner needs a process id}; fi

need_programs() {
  local program
  for program in runc iptables conntrack ip openssl nsenter /usr/lib/cni/ptp; do
    command -v "$program" >/dev/null || die "$program is missing; \`scripts/setup.sh e2e\` installs it"
  done
}

is_up() {
  local component
  [[ -f $state/build && -e /run/netns/$name ]] || return 1
  for component in "${components[@]}"; do pid_of "$component" >/dev/null || return 1; done
  in_cluster_kubectl get --raw /readyz >/dev/null 2>&1
}

# The nodes' addresses are on a bridge, as a link that every kernel has: "dummy" is missing in some.
make_network() {
  ip netns add "$name"
  ip -n "$name" link set lo up
  ip -n "$name" link add node0 type bridge
  local i
  for i in 0 1; do
    of_node $i
    ip -n "$name" address add "$address/24" dev node0
  done
  ip -n "$name" link set node0 up
  ip -n "$name" route add default dev node0
  inside sysctl -qw net.ipv4.ip_forward=1
}

watch_owner() {
  # shellcheck disable=SC2016 # expanded by that shell
  setsid bash -c 'while [[ -d /proc/$1 ]]; do sleep 1; done; exec "$2"' watch-owner "$owner" "$here/down.sh" \
    >>"$state/log/watch-owner.log" 2>&1 </dev/null &
  record watch-owner $!
}

# The admission of pods needs their namespace's service account, which the controller manager makes.
start_all() {
  start_etcd
  start_containerd
  start_containerd1
  start_apiserver
  until_true 180 "the API server" in_cluster_kubectl get --raw /readyz
  start_controller-manager
  start_scheduler
  local i
  for i in 0 1; do
    of_node $i
    until_true 120 "$containerd" "$bin/ctr" --address "$socket" version
  done
  "$here/import.sh" "$(<"$state/build")/pause.tar"
  start_kubelet
  start_kubelet1
  start_proxy
  until_true 180 "the nodes" in_cluster_kubectl get node node0 node1
  until_true 180 "the nodes' readiness" in_cluster_kubectl wait --for=condition=Ready node/node0 node/node1 --timeout=5s
  until_true 120 "the default service account" in_cluster_kubectl get serviceaccount default
}

# Which version is that of a folder of build.sh.
version_of() { basename "${1%-*}"; }

# The one that is up may be a person's, who chose its version when it was brought up.
keep() {
  local running wanted
  running=$(version_of "$(<"$state/build")")
  if [[ -n ${E2E_KUBERNETES:-} ]]; then
    wanted=$(version_of "$("$here/build.sh" --path)")
    [[ $wanted == "$running" ]] || die "runs Kubernetes $running; take it down before you ask for $wanted"
  fi
  say "is up already, with Kubernetes $running"
}

need_programs
if is_up; then
  keep
  exit 0
fi
build=$("$here/build.sh")
bin=$build/bin
"$here/down.sh"
started=$SECONDS
mkdir -p "$state"/{pki,log,pids,config,etcd,kubelet,kubelet1,cni,cni1}
chmod 700 "$state/pki" # the folder above must be open to the users that pods run as
echo "$build" >"$state/build"
[[ -z $owner ]] || watch_owner
make_network
make_pki
start_all
say "Kubernetes $(version_of "$build") is up after $((SECONDS - started)) s"
