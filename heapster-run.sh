#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs a program under heapster and prints what it did to its heap; see `heapster-run --help`.
# This script only finds the parts: in a source tree it builds them on first use. The work is done
# by `heapster run`, which finds libheapster.so beside itself or in the library directory.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
heapster=$here/heapster
if [ -f "$here/CMakeLists.txt" ]; then
  heapster=$here/build/release/heapster
  if [ ! -x "$heapster" ] || [ ! -e "$here/build/release/libheapster.so" ]; then
    echo "heapster-run: first use, building heapster" >&2
    "$here/tools/build.sh" release >&2 </dev/null || {
      echo "heapster-run: the build failed" >&2
      exit 2
    }
  fi
fi
exec "$heapster" run "$@"
