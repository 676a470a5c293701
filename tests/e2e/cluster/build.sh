#!/usr/bin/env bash
# Builds what a Kubernetes node is made of (etcd, the control plane, kubelet, kube-proxy, kubectl, containerd) from
# Go modules, and the image of pod sandboxes. Prints the folder that holds them, which is kept for the next time:
#
#   ~/.cache/poolwarden/kube/<version>-<hash of what is built>/{bin/*,pause.tar}
#
# E2E_KUBERNETES chooses the version:
#
#   1.36                 what all cases run on; the default
#   1.37                 the one after it
#   1.37+rollouts-1.38   1.37 with the rollouts of 1.38: its Deployment controller, three files of it. All of 1.38 could
#                        not be built: two modules that its beta needs (k8s.io/apiextensions-api,
#                        sigs.k8s.io/iptables-wrappers) were not to be had
#
# With --path it only prints that folder, built or not.
#
# About ten minutes on two cores the first time; nothing to do after that. Needs gcc, Python 3, and Go (fetched as a
# module when the one there is too old). A build that is cut short leaves no half of itself: the folder is renamed
# into place when it is complete.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=$here/modules
cache=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/kube
known=(1.36 1.37 1.37+rollouts-1.38)
# By what a go.mod asks for: what is fetched where the Go that is there is older than that.
declare -A fetched_go=([1.26.0]=1.26.8 [1.27.0]=1.27.4)

say() { printf 'e2e build: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# choose VERSION: into $kube, the folder of its modules, $rollouts, that of other rollouts or nothing, $kube_version as
# Kubernetes itself is to say it, and $target.
choose() {
  [[ " ${known[*]} " == *" $1 "* ]] || die "there is no Kubernetes \"$1\" here. E2E_KUBERNETES may be: ${known[*]}"
  local hash used
  kube=kube-${1%%+*}
  rollouts=
  [[ $1 != *+* ]] || rollouts=${1#*+}
  kube_version=$(version_in "$kube")${rollouts:++$rollouts}
  used=("$modules"/{containerd,"$kube"}/go.{mod,sum} "$here"/{build.sh,pause.c})
  [[ -z $rollouts ]] || used+=("$modules/$rollouts"/go.{mod,sum})
  hash=$(cat "${used[@]}" | sha256sum | cut -c1-12)
  target=$cache/$kube_version-$hash
}

version_in() { awk '$1 == "k8s.io/kubernetes" { print substr($2, 2) }' "$modules/$1/go.mod"; }

# find_go MODULE: a Go that is new enough for it, into $go. An old one is enough to fetch the right one, as a module like
# any other.
find_go() {
  local needed_go candidate version old=
  needed_go=$(awk '$1 == "go" { print $2 }' "$modules/$1/go.mod")
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
  fetch_go "$old" "${fetched_go[$needed_go]}"
}

fetch_go() { # OLD_GO VERSION
  local fetched=$2 module folder
  module=golang.org/toolchain@v0.0.1-go$fetched.linux-amd64
  go=$cache/go-$fetched/bin/go
  [[ ! -x $go ]] || return 0
  say "$1 is too old for Kubernetes $kube_version; fetching Go $fetched as a module"
  folder=$(cd / && "$1" mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  [[ -n $folder ]] || die "$module could not be fetched with $1"
  # Modules are kept read-only and without the right to execute; a toolchain needs it.
  rm -rf "$cache/go-$fetched.part"
  cp -r --no-preserve=mode "$folder" "$cache/go-$fetched.part"
  chmod -R +x "$cache/go-$fetched.part"/{bin,pkg/tool}
  rm -rf "$cache/go-$fetched"
  mv "$cache/go-$fetched.part" "$cache/go-$fetched"
}

# build_module NAME FLAG...: the programs that modules/NAME/go.mod lists as its tools. One run of `go build` for all
# of them, so that no core waits for the last package of one program before it starts on the next.
build_module() {
  local name=$1
  shift
  say "building $name"
  "$go" -C "$modules/$name" build -trimpath -buildvcs=false -mod=readonly -o "$part/bin/" "$@" tool
}

# replace_rollouts FLAG...: the controller manager once more, with the files by which the Deployment controller of a newer
# Kubernetes rolls out. They are in that one's module, whose checksum is pinned; nothing else of it is compiled. In a copy
# of the older module, because Go builds nothing that was changed where it keeps modules.
replace_rollouts() {
  local copy=$part/rollouts controller=pkg/controller/deployment older newer file
  say "building the controller manager with $rollouts"
  older=$("$go" -C "$modules/$kube" list -m -f '{{.Dir}}' k8s.io/kubernetes)
  newer=$(newer_module)
  [[ -n $newer ]] || die "the module of $rollouts could not be fetched"
  mkdir "$copy"
  cp "$modules/$kube"/go.{mod,sum} "$copy/"
  cp -r --no-preserve=mode "$older" "$copy/kubernetes"
  for file in rolling recreate progress; do
    cp "$newer/$controller/$file.go" "$copy/kubernetes/$controller/$file.go"
  done
  "$go" -C "$copy" mod edit -replace k8s.io/kubernetes=./kubernetes
  "$go" -C "$copy" build -trimpath -buildvcs=false -mod=readonly -o "$part/bin/" "$@" \
    k8s.io/kubernetes/cmd/kube-controller-manager
  rm -rf "$copy"
}

# newer_module: its folder. Go fetches no module that asks for a newer Go.
newer_module() (
  find_go "$rollouts"
  "$go" -C "$modules/$rollouts" mod download -json "k8s.io/kubernetes@v$(version_in "$rollouts")" |
    sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
)

build_pause() {
  gcc -static -O2 -s -Wall -Werror -o "$part/pause" "$here/pause.c"
  "$here/../../../scripts/image.py" --name registry.k8s.io/pause:poolwarden-e2e --out "$part/pause.tar" \
    --user 65535 --entrypoint '["/pause"]' "$part/pause:/pause" >/dev/null
}

build_all() {
  local minor=${kube_version#1.} component=k8s.io/component-base/version started=$SECONDS flags
  minor=${minor%%.*}
  flags="-s -w -X $component.gitVersion=v$kube_version -X $component.gitMajor=1 -X $component.gitMinor=$minor"
  part=$(mktemp -d "$cache/part.XXXXXX")
  trap 'rm -rf "$part"' EXIT
  mkdir "$part/bin"
  # Without cgo, all programs share one build of the standard library and of what they have in common.
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=
  "$go" -C "$modules/containerd" mod download 2>/dev/null & # while the first is compiled
  build_module "$kube" -ldflags "$flags"
  [[ -z $rollouts ]] || replace_rollouts -ldflags "$flags"
  wait
  build_module containerd -tags no_btrfs,no_zfs,no_devmapper -ldflags '-s -w'
  mv "$part/bin/server" "$part/bin/etcd" # as its package is called
  build_pause
  mv -T "$part" "$target" 2>/dev/null || [[ -d $target ]] # another build may have been there first
  say "built in $((SECONDS - started)) s"
}

choose "${E2E_KUBERNETES:-1.36}"
if [[ ${1:-} == --path ]]; then
  echo "$target"
  exit 0
fi
mkdir -p "$cache"
if [[ ! -d $target ]]; then
  say "building Kubernetes $kube_version into $target; about ten minutes on two cores, once"
  find_go "$kube"
  build_all
fi
echo "$target"
