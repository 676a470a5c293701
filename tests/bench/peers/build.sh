#!/usr/bin/env bash
# Builds the driver and the programs of the comparison into a folder, with their own tests first.
#
#   build.sh FOLDER PROGRAM...    driver, go, rust
#
# Without a Rust that is new enough, "rust" is left out: the caller sees that FOLDER/peer-rust is not there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../../e2e/go_tool.sh
. "$here/../../e2e/go_tool.sh"
folder=${1:?usage: build.sh FOLDER PROGRAM...}
shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

build_go() { # PACKAGE PROGRAM
  local go
  go=$(go_for "$here")
  export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS=-trimpath
  "$go" -C "$here" test -vet=off "./document" "./$1" >&2
  "$go" -C "$here" build -buildvcs=false -mod=readonly -o "$folder/$2" "./$1"
}

build_rust() {
  local oldest="1.85" version
  version=$(cargo --version 2>/dev/null | awk '{ print $2 }') || true
  if [[ -z $version || $(printf '%s\n' "$oldest" "$version" | sort -V | head -1) != "$oldest" ]]; then
    echo "bench-peers: no cargo $oldest or later: the program in Rust is left out" >&2
    return
  fi
  cargo build --quiet --release --locked --manifest-path "$here/rust/Cargo.toml" --target-dir "$folder/../rust-target"
  cp "$folder/../rust-target/release/peer" "$folder/peer-rust"
}

for program in "$@"; do
  case $program in
    driver) build_go driver driver ;;
    go) build_go go peer-go ;;
    rust) build_rust ;;
    *)
      echo "build.sh: unknown program \"$program\"" >&2
      exit 2
      ;;
  esac
done
