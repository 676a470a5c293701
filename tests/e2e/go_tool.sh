# shellcheck shell=bash
# Builds the program that a folder's go.mod lists as its tool, once: it is kept for the next time. Sourced.

go_tool_cache=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden

# go_for FOLDER: a Go that is new enough for its go.mod. The last one is the one that builds the cluster
# (cluster/build.sh), which fetches it.
go_for() {
  local needed go version
  needed=$(awk '$1 == "go" { print $2 }' "$1/go.mod")
  for go in "$(command -v go || true)" /usr/local/go/bin/go "$go_tool_cache"/kube/go-*/bin/go; do
    [[ -x $go ]] || continue
    version=$(GOTOOLCHAIN=local "$go" env GOVERSION)
    [[ $(printf '%s\n' "$needed" "${version#go}" | sort -V | head -1) == "$needed" ]] || continue
    echo "$go"
    return
  done
  echo "$1: Go $needed or later is needed to build it; tests/e2e/cluster/build.sh fetches one" >&2
  return 1
}

# go_tool FOLDER NAME: where the program is, ~/.cache/poolwarden/<folder>/<hash of go.mod and go.sum>/NAME.
# Takes minutes the first time and nothing after that.
go_tool() {
  local folder=$1 name=$2 target go
  target=$go_tool_cache/$(basename "$folder")/$(cat "$folder"/go.mod "$folder"/go.sum | sha256sum | cut -c1-12)
  if [[ ! -x $target/$name ]]; then
    go=$(go_for "$folder") || return
    mkdir -p "$target"
    CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='' "$go" -C "$folder" build -trimpath -buildvcs=false \
      -mod=readonly -ldflags '-s -w' -o "$target/$name.part" tool || return
    mv "$target/$name.part" "$target/$name"
  fi
  echo "$target/$name"
}
