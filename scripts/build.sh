#!/usr/bin/env bash
# Configures a preset of CMakePresets.json and builds it, or only some targets of it.
#
#   scripts/build.sh PRESET [TARGET]...
#
# Says how far it is in one line: rewritten where a terminal shows it, else a new one every ten seconds. All that the
# compilers say is passed on. JOBS=<number> compiles so many files at once; UNITY=OFF compiles each file on its own,
# which is slower for all of them and faster for one. LTO=OFF links a release without link-time optimisation, which is
# quicker and not what ships.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:?usage: scripts/build.sh PRESET [TARGET]...}
shift
directory=build-$preset
[[ $preset == release ]] && directory=build
jobs=${JOBS:-$(nproc)}
options=()
[[ $preset != release || -z ${LTO:-} ]] || options+=("-DPOOLWARDEN_LTO=$LTO")
[[ -z ${UNITY:-} ]] || options+=("-DCMAKE_UNITY_BUILD=$UNITY")

configure() {
  local output
  if output=$(cmake --preset "$preset" --log-level=WARNING "${options[@]}" 2>&1); then
    [[ $output != *Warning* ]] || printf '%s\n' "$output" >&2
  else
    printf '%s\n' "$output" >&2
    return 1
  fi
}

mark=@step
clear_line=
every=10
if [[ -t 1 ]]; then
  clear_line=$'\r\e[K'
  every=1
fi

# Reads ninja's output: "@step 12 80 Building ..." and whatever the compilers say.
progress() {
  local line rest='' finished=0 all=0 shown=$SECONDS start=$SECONDS status
  while true; do
    status=0
    IFS= read -r -t 1 line || status=$?
    if ((status > 128)); then # a second without a whole line
      rest+=$line
    elif ((status > 0)); then
      break
    else
      line=$rest$line
      rest=
      case $line in
        "$mark "*) read -r _ finished all _ <<<"$line" ;;
        "ninja: no work to do.") ;;
        *) printf '%s%s\n' "$clear_line" "$line" ;;
      esac
    fi
    if ((all > 0 && SECONDS - shown >= every)); then
      shown=$SECONDS
      show "$finished" "$all" $((SECONDS - start))
      [[ -n $clear_line ]] || printf '\n'
    fi
  done
  ((all > 0)) || return 0
  show "$finished" "$all" $((SECONDS - start))
  printf '\n'
}

show() {
  printf '%s%s: %d of %d steps, %d:%02d min' "$clear_line" "$directory" "$1" "$2" $(($3 / 60)) $(($3 % 60))
}

configure
[[ $# -eq 0 ]] || set -- --target "$@"
NINJA_STATUS="$mark %f %t " cmake --build "$directory" -j "$jobs" "$@" 2>&1 | progress
