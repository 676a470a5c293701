#!/usr/bin/env bash
# Takes down the cluster that up.sh brought up, and whatever a dead one left: its processes and those of its
# pods, its mounts, its network namespaces and its state. Does nothing if there is none. Only processes that
# up.sh recorded, or that containerd recorded under the cluster's own folder, are ended, by their process ids.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ -d $state || -e /run/netns/$name ]] || exit 0
mkdir -p "$state/pids"

# Each node's containerd: its name, which its folder has too, and whose socket is beside that.
containerds=(containerd containerd1)
tasks=() # the folder of each of their tasks, which is named after it
for containerd in "${containerds[@]}"; do
  for task in "$state/$containerd/state/io.containerd.runtime.v2.task/k8s.io"/*/; do
    [[ ! -d $task ]] || tasks+=("${task%/}")
  done
done

# The watch over the owner may be what runs this.
stop_watch_owner() {
  [[ $(pid_of watch-owner) == "$$" ]] || stop watch-owner
  rm -f "$state/pids/watch-owner"
}

# As containerd would: this also takes away the containers' cgroups.
remove_tasks() { # CONTAINERD
  pid_of "$1" >/dev/null || return 0
  local ctr=("$(<"$state/build")/bin/ctr" --address "$state/$1.sock" --namespace k8s.io)
  "${ctr[@]}" --timeout 20s tasks list --quiet 2>/dev/null |
    xargs -r -P 8 -I{} "${ctr[@]}" tasks delete --force {} >/dev/null 2>&1 || true
}

# Where containerd is dead: each task's first process is in its folder, and its shim is that process' parent.
kill_tasks() {
  local task pid shim
  for task in "${tasks[@]}"; do
    pid=$(cat "$task/init.pid" 2>/dev/null) || continue
    shim=$(awk '$1 == "PPid:" { print $2 }' "/proc/$pid/status" 2>/dev/null) || continue
    # A number may have been given to another process since then: its cgroup names the task.
    grep -q "$(basename "$task")" "/proc/$pid/cgroup" 2>/dev/null || continue
    kill -9 "$pid" 2>/dev/null || true
    if tr '\0' ' ' <"/proc/$shim/cmdline" 2>/dev/null | grep -q -- "$state/containerd1\?.sock"; then
      kill -9 "$shim" 2>/dev/null || true
    fi
  done
}

# Shims that outlived their tasks.
kill_shims() {
  local shim
  for shim in /proc/[0-9]*; do
    [[ $(cat "$shim/comm" 2>/dev/null) == containerd-shim ]] || continue
    tr '\0' ' ' <"$shim/cmdline" 2>/dev/null | grep -q -- "-address $state/containerd1\?.sock" || continue
    kill -9 "${shim#/proc/}" 2>/dev/null || true
  done
}

unmount_all() {
  awk -v folder="$state/" 'index($2, folder) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r -n1 umount -l
}

# What the kubelet, CNI and runc keep outside of the state folder, and only ours of it.
remove_traces() {
  local trace task
  for trace in /var/log/containers/*; do
    [[ $(readlink "$trace") == "$state/"* ]] && rm -f "$trace"
  done
  rm -f "/var/lib/cni/results/$name-"* "${sockets[@]}"
  for task in "${tasks[@]}"; do
    find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/${task##*/}" -exec rmdir {} + 2>/dev/null || true
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
kill_at_once apiserver kubelet kubelet1 proxy scheduler controller-manager
# The sockets of the shims, which are elsewhere.
mapfile -t sockets < <(sed -n 's|.*"unix://\([^"]*\)".*|\1|p' "${tasks[@]/%//bootstrap.json}" /dev/null 2>/dev/null | sort -u)
for containerd in "${containerds[@]}"; do remove_tasks "$containerd" & done
wait
stop "${containerds[@]}"
kill_at_once etcd
kill_tasks
kill_shims
unmount_all
remove_traces
[[ ! -e /run/netns/$name ]] || ip netns delete "$name"
rm -rf "$state"
say "is down"
