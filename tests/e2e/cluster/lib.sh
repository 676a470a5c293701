# shellcheck shell=bash
# What the scripts of the cluster share: where a cluster's state is, and how its processes are started,
# recorded and ended. Sourced.
#
# A cluster is a name. All it has is under its state folder and in the network namespace of the same name, so
# two clusters, of two checkouts or of one, do not meet. A process is recorded as "PID STARTTIME" when it
# starts, and only a process for which both still hold is ever signalled.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)
name=${E2E_NAME:-pw-$(printf '%s' "$repository" | sha256sum | cut -c1-8)}
state=${E2E_STATE_ROOT:-/var/tmp/poolwarden-e2e}/$name
# The control plane's address, and the first node's.
# shellcheck disable=SC2034 # for those that source this
node_ip=10.250.0.1

say() { printf 'e2e cluster %s: %s\n' "$name" "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# The name becomes a path, a network namespace and part of a socket's path, which has at most 107 bytes.
[[ $name =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || die "E2E_NAME must be at most 31 of a-z, 0-9 and -"
[[ $(id -u) == 0 ]] || die "a cluster of its own needs root, for containers and network namespaces. Run as root, or set \
E2E_KUBECONFIG to use a cluster that exists."

# nsenter, not `ip netns exec`: that one mounts another /sys, in which the kubelet finds no cgroups.
inside() { nsenter --net="/run/netns/$name" "$@"; }

start_time() { # PID: field 22 of its stat, counted behind the name, which may hold spaces
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }"
  echo "${fields[19]}"
}

# record NAME PID
record() { echo "$2 $(start_time "$2")" >"$state/pids/$1"; }

# pid_of NAME: its process id, if that process still runs.
pid_of() {
  local pid started
  read -r pid started 2>/dev/null <"$state/pids/$1" || return 1
  [[ $(start_time "$pid") == "$started" ]] && echo "$pid"
}

# launch NAME COMMAND...: in the namespace, in a session of its own, its output appended to log/NAME.log.
launch() {
  local component=$1
  shift
  # setsid does not fork here: a background job of a script leads no group. So $! is the component itself.
  setsid nsenter --net="/run/netns/$name" "$@" >>"$state/log/$component.log" 2>&1 </dev/null &
  record "$component" $!
}

# stop NAME...: TERM to all, and KILL to those that are still there after 10 s.
stop() {
  local component pid deadline=$((SECONDS + 10))
  for component in "$@"; do
    if pid=$(pid_of "$component"); then kill "$pid" 2>/dev/null || true; fi
  done
  for component in "$@"; do
    while pid=$(pid_of "$component"); do
      if ((SECONDS >= deadline)); then
        say "$component (process $pid) does not end; killed"
        kill -9 "$pid" 2>/dev/null || true
        deadline=$((SECONDS + 2))
      fi
      sleep 0.1
    done
    rm -f "$state/pids/$component"
  done
}

# until_true SECONDS WHAT COMMAND...
until_true() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "still waiting: $what. Its logs are in $state/log"
    sleep 0.2
  done
}

in_cluster_kubectl() { inside "$(<"$state/build")/bin/kubectl" --kubeconfig="$state/admin.kubeconfig" "$@"; }
