#!/usr/bin/env bash
# Makes the picture of the status page that the README shows: docs/images/status-page.png.
#
#   scripts/status_page_picture.sh [--dark] [FILE]
#
# The page is that of tests/unit/status_page/example_page.cpp, as a cluster in use would have it. The browser is Debian's
# Chromium: scripts/setup.sh browser.
set -euo pipefail
cd "$(dirname "$0")/.."

dark=()
if [[ ${1:-} == --dark ]]; then
  dark=(--force-dark-mode --blink-settings=preferredColorScheme=0)
  shift
fi
file=${1:-docs/images/status-page.png}

scripts/build.sh debug status_page_example
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build-debug/bin/status_page_example >"$work/page.html"
HOME=$work chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" \
  --no-proxy-server --host-resolver-rules='MAP * ~NOTFOUND' \
  --window-size="${WIDTH:-960},${HEIGHT:-1370}" "${dark[@]}" --screenshot="$work/page.png" "file://$work/page.html" \
  >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
mkdir -p "$(dirname "$file")"
python3 scripts/pack_png.py "$work/page.png" "$file"
echo "$file: $(stat -c %s "$file") bytes"
