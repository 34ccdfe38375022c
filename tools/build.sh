#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Builds heapster, with everything that takes on a fresh Debian:
#   tools/build.sh [PRESET]     release (the default), dev, unit, asan or tsan, into build/PRESET
set -euo pipefail

preset=${1:-release}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

case "$preset" in
  release) purposes=(build) ;;
  dev) purposes=(build test bench) ;;
  unit) purposes=(build unit) ;;
  asan | tsan) purposes=(build test) ;;
  *)
    echo "build.sh: unknown preset '$preset' (release, dev, unit, asan, tsan)" >&2
    exit 2
    ;;
esac
tools/packages.sh "${purposes[@]}"
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
