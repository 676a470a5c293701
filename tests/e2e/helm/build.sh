#!/usr/bin/env bash
# Builds helm from its Go module and prints where it is.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../go_tool.sh
. "$here/../go_tool.sh"
go_tool "$here" helm
