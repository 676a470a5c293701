#!/usr/bin/env bash
# Prints the path of promtool, which tests the alerts, or of prometheus itself (promtool.sh prometheus): the one in PATH, or
# else Debian's, of whose package only these two programs are taken, into ~/.cache/poolwarden. (Installing the package would
# start a Prometheus server.) Ends with 77 where there is none to be had.
set -euo pipefail
program=${1:-promtool}
if command -v "$program"; then exit 0; fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/promtool
if [[ -x $cache/$program ]]; then
  echo "$cache/$program"
  exit 0
fi
command -v apt-get >/dev/null || {
  echo "promtool.sh: no $program in PATH, and this is no Debian to take it from" >&2
  exit 77
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
download() { apt-get download -q prometheus >"$scratch/log" 2>&1; }
download || { apt-get update -q >"$scratch/log" 2>&1 && download; } || {
  cat "$scratch/log" >&2
  exit 77
}
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool ./usr/bin/prometheus
mkdir -p "$cache"
for each in promtool prometheus; do
  mv "usr/bin/$each" "$cache/$each.$$" # renamed into place: another one may be at it
  mv "$cache/$each.$$" "$cache/$each"
done
echo "$cache/$program"
