#!/usr/bin/env bash
# The alerts as Prometheus itself reads and evaluates them: alerts_test.yaml says when each must fire, and when not.
# Without promtool it is skipped, but not in CI.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)

promtool=$("$repository/scripts/promtool.sh") || {
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Of the PrometheusRule what is under `spec`, which is a file of rules.
sed '1,/^spec:$/d; s/^  //' "$repository/manifests/overlays/prometheus/rules.yaml" >"$scratch/rules.yaml"
cp "$here/alerts_test.yaml" "$scratch"
"$promtool" check rules "$scratch/rules.yaml"
"$promtool" test rules "$scratch/alerts_test.yaml"
