#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs a test program under the preload, with a run directory of its own on a tmpfs: measured.sh PRELOAD COMMAND…
set -euo pipefail

preload=$1
shift
run_directory=$(mktemp -d -p /dev/shm heapster-inside.XXXXXX)
trap 'rm -rf "$run_directory"' EXIT
env -u HEAPSTER_STACKS LD_PRELOAD="$preload" HEAPSTER_OUT=none HEAPSTER_RUN_DIR="$run_directory" "$@"
