#!/usr/bin/env bash
# Builds what a Kubernetes node is made of (etcd, the control plane, kubelet, kube-proxy, kubectl, containerd) from
# Go modules, and the image of pod sandboxes. Prints the folder that holds them, which is kept for the next time:
#
#   ~/.cache/poolwarden/kube/<version>-<hash of what is built>/{bin/*,pause.tar}
#
# About ten minutes on two cores the first time; nothing to do after that. Needs gcc, Python 3, and Go (fetched as a
# module when the one there is too old). A build that is cut short leaves no half of itself: the folder is renamed
# into place when it is complete.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=$here/modules
kube_version=$(awk '$1 == "k8s.io/kubernetes" { print substr($2, 2) }' "$modules/kube/go.mod")
needed_go=$(awk '$1 == "go" { print $2 }' "$modules/kube/go.mod")
fetched_go=1.26.8 # where the Go that is there is older than that

say() { printf 'e2e build: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/kube
hash=$(cat "$modules"/*/go.mod "$modules"/*/go.sum "$here"/{build.sh,pause.c} | sha256sum | cut -c1-12)
target=$cache/$kube_version-$hash

# find_go: a Go that is new enough, into $go. An old one is enough to fetch the right one, as a module like any other.
find_go() {
  local candidate version old=
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go; do
    [[ -x $candidate ]] || continue
    version=$(GOTOOLCHAIN=local "$candidate" env GOVERSION)
    if [[ $(printf '%s\n' "$needed_go" "${version#go}" | sort -V | head -1) == "$needed_go" ]]; then
      go=$candidate
      return
    fi
    old=$candidate
  done
  [[ -n $old ]] || die "no Go was found. \`scripts/setup.sh e2e\` installs it; else put Go $needed_go or later on PATH."
  fetch_go "$old"
}

fetch_go() { # OLD_GO
  local module=golang.org/toolchain@v0.0.1-go$fetched_go.linux-amd64 folder
  say "$1 is too old for Kubernetes $kube_version; fetching Go $fetched_go as a module"
  folder=$(cd / && "$1" mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  [[ -n $folder ]] || die "$module could not be fetched with $1"
  go=$cache/go-$fetched_go/bin/go
  [[ -x $go ]] && return
  # Modules are kept read-only and without the right to execute; a toolchain needs it.
  rm -rf "$cache/go-$fetched_go.part"
  cp -r --no-preserve=mode "$folder" "$cache/go-$fetched_go.part"
  chmod -R +x "$cache/go-$fetched_go.part"/{bin,pkg/tool}
  rm -rf "$cache/go-$fetched_go"
  mv "$cache/go-$fetched_go.part" "$cache/go-$fetched_go"
}

# build_module NAME FLAG...: the programs that modules/NAME/go.mod lists as its tools. One run of `go build` for all
# of them, so that no core waits for the last package of one program before it starts on the next.
build_module() {
  local name=$1
  shift
  say "building $name"
  "$go" -C "$modules/$name" build -trimpath -buildvcs=false -mod=readonly -o "$part/bin/" "$@" tool
}

build_pause() {
  gcc -static -O2 -s -Wall -Werror -o "$part/pause" "$here/pause.c"
  "$here/../../../scripts/image.py" --name registry.k8s.io/pause:poolwarden-e2e --out "$part/pause.tar" \
    --user 65535 --entrypoint '["/pause"]' "$part/pause:/pause" >/dev/null
}

build_all() {
  local minor=${kube_version#1.} component=k8s.io/component-base/version started=$SECONDS
  minor=${minor%%.*}
  part=$(mktemp -d "$cache/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  mkdir "$part/bin"
  # Without cgo, all programs share one build of the standard library and of what they have in common.
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=
  "$go" -C "$modules/containerd" mod download 2>/dev/null & # while the first is compiled
  build_module kube -ldflags "-s -w -X $component.gitVersion=v$kube_version -X $component.gitMajor=1 -X $component.gitMinor=$minor"
  wait
  build_module containerd -tags no_btrfs,no_zfs,no_devmapper -ldflags '-s -w'
  mv "$part/bin/server" "$part/bin/etcd" # as its package is called
  build_pause
  mv -T "$part" "$target" 2>/dev/null || [[ -d $target ]] # another build may have been there first
  say "built in $((SECONDS - started)) s"
}

mkdir -p "$cache"
if [[ ! -d $target ]]; then
  say "building Kubernetes $kube_version into $target; about ten minutes on two cores, once"
  find_go
  build_all
fi
echo "$target"
