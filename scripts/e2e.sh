#!/usr/bin/env bash
# The end-to-end tests: the operator in a real Kubernetes, installed with kubectl. `make e2e` and its kin call
# this.
#
#   scripts/e2e.sh run       a cluster of its own, the operator, every case, and the cluster down again
#   scripts/e2e.sh up        the same cluster with the operator, kept for a person to try
#   scripts/e2e.sh cases     the cases on the cluster that is kept
#   scripts/e2e.sh down      takes the kept one down
#
# E2E_CASES=<regex>       only the cases whose name matches, such as 01 or latency
# E2E_KUBECONFIG=<file>   the cases on a cluster that exists, which must have the images (build/image/*.tar);
#                         what would stop its control plane is skipped
# E2E_NAME=<name>         another cluster beside this one
# E2E_KUBERNETES=1.37     another version than 1.36; tests/e2e/cluster/build.sh lists those there are
# What is known of a case that failed is kept in build-e2e/failures/<case>/.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build-e2e${E2E_NAME:+/$E2E_NAME}
own=1
[[ -z ${E2E_KUBECONFIG:-} ]] || own=

# Two runs of one name would take each other's cluster down. What they start does not hold the lock.
lock() {
  exec 9>"$build/lock"
  flock --nonblock 9 || {
    echo "e2e.sh: another run is under way here; E2E_NAME=other runs one beside it" >&2
    exit 1
  }
}

configure() { cmake -S tests/e2e -B "$build" --log-level=WARNING >/dev/null; }

# suite CTEST_OPTION...: CTest adds the fixtures that the chosen tests need.
suite() {
  # In a process group of its own, and waited for: so a signal is acted upon at once, not after a case that
  # may take minutes, and ends all of it.
  set -m
  setpriv --pdeathsig TERM ctest --test-dir "$build" --output-on-failure --no-tests=error "$@" 9>&- &
  child=$!
  set +m
  local result=0
  wait "$child" || result=$?
  child=
  figures
  return $result
}

# What the cases measured, and why tests were skipped; CTest shows only the output of those that fail.
figures() {
  local log=$build/Testing/Temporary/LastTest.log
  [[ -f $log ]] || return 0
  awk '/^[0-9]+\/[0-9]+ Test: / { test = $3 }
    / is skipped: / { print "Skipped: " $0 }
    / figure: / { sub(/.* figure: /, ""); if (!shown++) print "\nFigures"; printf "  %-24s %s\n", test, $0 }' "$log"
}

# shellcheck disable=SC2317 # the trap calls it
stop_child() {
  trap '' INT TERM
  [[ -z ${child:-} ]] || kill -- "-$child" 2>/dev/null || true
  [[ -z $own || ${E2E_KEEP:-} == 1 ]] || tests/e2e/cluster/down.sh 9>&-
  exit 130
}

# A line to copy: kubectl with all it needs.
kubectl_script() {
  # shellcheck disable=SC2016 # expanded by that script
  printf '#!/bin/sh\nexport E2E_NAME=%s\nexec "%s" kubectl "$@"\n' \
    "${E2E_NAME:-}" "$PWD/tests/e2e/fixtures/inside.sh" >"$build/kubectl"
  chmod +x "$build/kubectl"
}

up() {
  export E2E_KEEP=1
  suite -R '^(up|install)$'
  kubectl_script
  cat <<EOT

The cluster is up, with the operator in it. kubectl for it:

  ${build#"$PWD/"}/kubectl get pods --all-namespaces
  ${build#"$PWD/"}/kubectl apply -k examples/vllm-sim

\`${E2E_NAME:+E2E_NAME=$E2E_NAME }scripts/e2e.sh cases\` runs the cases on it, \`${E2E_NAME:+E2E_NAME=$E2E_NAME }make e2e-down\` takes it down.
EOT
}

main() {
  trap stop_child INT TERM
  case ${1:-run} in
    run)
      configure
      lock
      # Beside one that is kept, and gone with this process, however that ends.
      [[ -n ${E2E_NAME:-} ]] || E2E_NAME=pw-run-$(printf '%s' "$PWD" | sha256sum | cut -c1-8)
      export E2E_NAME E2E_OWNER=$$
      suite -L case -R "${E2E_CASES:-.}"
      ;;
    up)
      configure
      up
      ;;
    cases)
      configure
      export E2E_KEEP=1
      suite -L case -R "${E2E_CASES:-.}"
      ;;
    down) tests/e2e/cluster/down.sh ;;
    *)
      echo "e2e.sh: unknown command \"$1\"; it knows run, up, cases and down" >&2
      exit 2
      ;;
  esac
  exit # from here: bash reads a script as it goes, and this one may be edited meanwhile
}

main "$@"
