#!/usr/bin/env bash
# Prints the path of a router with a worker API that the gateway feed is tested against:
#
#   router.sh vllm-router | sglang-router | smg
#
# It is the program of its PyPI wheel, in an environment of its own under ~/.cache/poolwarden, made once in about a minute.
# Ends with 77 where it is not to be had.
set -euo pipefail
case ${1:-} in
vllm-router) wanted=vllm-router==0.1.17 ;;
sglang-router) wanted=sglang-router==0.3.2 ;;
smg) wanted=smg==1.13.0 ;;
*)
  echo "router.sh: which router? vllm-router, sglang-router or smg" >&2
  exit 2
  ;;
esac
folder=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/routers/${wanted/==/-}
program=$folder/bin/$1
if [[ ! -x $program || ! -f $folder/whole ]]; then
  mkdir -p "${folder%/*}"
  exec 9>"$folder.lock" # of several tests at once, one makes it
  flock 9
fi
if [[ ! -f $folder/whole ]]; then
  rm -rf "$folder"
  { python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$wanted"; } >&2 || {
    rm -rf "$folder"
    echo "router.sh: no $wanted to be had (needs python3-venv and PyPI)" >&2
    exit 77
  }
  touch "$folder/whole"
fi
echo "$program"
