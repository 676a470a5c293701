#!/usr/bin/env bash
# Takes down the cluster that up.sh brought up, and whatever a dead one left: its processes and those of its
# pods, its mounts, its network namespaces and its state. Does nothing if there is none. Only processes that
# up.sh recorded, or that containerd recorded under the cluster's own folder, are ended, by their process ids.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -d $state || -e /run/netns/$name ]] || exit 0
mkdir -p "$state/pids"
tasks=$state/containerd/state/io.containerd.runtime.v2.task/k8s.io

ctr() { "$(<"$state/build")/bin/ctr" --address "$state/containerd.sock" --namespace k8s.io --timeout 20s "$@"; }

# The watch over the owner may be what runs this.
stop_watch_owner() {
  [[ $(pid_of watch-owner) == "$$" ]] || stop watch-owner
  rm -f "$state/pids/watch-owner"
}

# As containerd would: this also takes away the containers' cgroups.
remove_tasks() {
  pid_of containerd >/dev/null || return 0
  ctr tasks list --quiet 2>/dev/null | xargs -r -P 8 -I{} "$(<"$state/build")/bin/ctr" \
    --address "$state/containerd.sock" --namespace k8s.io tasks delete --force {} >/dev/null 2>&1 || true
}

# Where containerd is dead: each task's first process is in its folder, and its shim is that process' parent.
kill_tasks() {
  local task pid shim
  for task in "$tasks"/*/; do
    pid=$(cat "$task/init.pid" 2>/dev/null) || continue
    shim=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null) || continue
    # A number may have been given to another process since then: its cgroup names the task.
    grep -q "$(basename "$task")" "/proc/$pid/cgroup" 2>/dev/null || continue
    kill -9 "$pid" 2>/dev/null || true
    if tr '\0' ' ' <"/proc/$shim/cmdline" 2>/dev/null | grep -q -- "$state/containerd.sock"; then
      kill -9 "$shim" 2>/dev/null || true
    fi
  done
}

# Shims that outlived their tasks.
kill_shims() {
  local shim
  for shim in /proc/[0-9]*; do
    [[ $(cat "$shim/comm" 2>/dev/null) == containerd-shim ]] || continue
    tr '\0' ' ' <"$shim/cmdline" 2>/dev/null | grep -q -- "-address $state/containerd.sock" || continue
    kill -9 "${shim#/proc/}" 2>/dev/null || true
  done
}

unmount_all() {
  awk -v folder="$state/" 'index($2, folder) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r -n1 umount -l
}

# What the kubelet, CNI and runc keep outside of the state folder, and only ours of it.
remove_traces() {
  local trace cgroup
  for trace in /var/log/containers/*; do
    [[ $(readlink "$trace") == "$state/"* ]] && rm -f "$trace"
  done
  rm -f "/var/lib/cni/results/$name-"* "${sockets[@]}"
  for cgroup in "${containers[@]}"; do
    find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/$cgroup" -exec rmdir {} + 2>/dev/null || true
  done
}

# The API server would wait for its clients to leave. There is nothing to finish: all of it is thrown away.
kill_at_once() {
  local component pid
  for component in "$@"; do
    if pid=$(pid_of "$component"); then kill -9 "$pid" 2>/dev/null || true; fi
  done
  stop "$@"
}

stop_watch_owner
kill_at_once apiserver kubelet proxy scheduler controller-manager
containers=()
sockets=()
if [[ -d $tasks ]]; then
  mapfile -t containers < <(ls "$tasks")
  mapfile -t sockets < <(sed -n 's|.*"unix://\([^"]*\)".*|\1|p' "$tasks"/*/bootstrap.json 2>/dev/null | sort -u)
fi
remove_tasks
stop containerd
kill_at_once etcd
kill_tasks
kill_shims
unmount_all
remove_traces
[[ ! -e /run/netns/$name ]] || ip netns delete "$name"
rm -rf "$state"
say "is down"
