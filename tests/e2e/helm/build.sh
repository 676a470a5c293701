#!/usr/bin/env bash
# Builds helm from its Go module and prints where it is: ~/.cache/poolwarden/helm/<hash of go.mod and go.sum>/helm.
# Takes minutes the first time and nothing after that. Go is the one that builds the cluster (../cluster/build.sh).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden
target=$cache/helm/$(cat "$here"/go.mod "$here"/go.sum | sha256sum | cut -c1-12)
needed_go=$(awk '$1 == "go" { print $2 }' "$here/go.mod")

if [[ ! -x $target/helm ]]; then
  for go in "$(command -v go || true)" /usr/local/go/bin/go "$cache"/kube/go-*/bin/go; do
    [[ -x $go ]] || continue
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION)
    [[ $(printf '%s\n' "$needed_go" "${version#go}" | sort -V | head -1) == "$needed_go" ]] && break
    go=
  done
  [[ -x $go ]] || {
    echo "helm: Go $needed_go or later is needed to build it; tests/e2e/cluster/build.sh fetches one" >&2
    exit 1
  }
  mkdir -p "$target"
  CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='' "$go" -C "$here" build -trimpath -buildvcs=false -mod=readonly \
    -ldflags '-s -w' -o "$target/helm.part" helm.sh/helm/v3/cmd/helm
  mv "$target/helm.part" "$target/helm"
fi
echo "$target/helm"
