#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs real programs with and without heapster (test/compatibility) and prints what came of it as a table:
#   tools/compatibility.sh                 over what is installed: the release build
#   tools/compatibility.sh --write-docs    and writes docs/compatibility.md
set -euo pipefail
cd "$(dirname "$0")/.."

tools/packages.sh build compat
tools/build.sh release >&2
results=build/compatibility
runner=(/usr/bin/python3 -B test/compatibility/compatibility.py)
mkdir -p "$results"
failed=0
while read -r name _; do
  echo "$name" >&2
  "${runner[@]}" run "$name" --heapster "$PWD/build/release/heapster" --preload "$PWD/build/release/libheapster.so" \
    --results "$results" >"$results/$name.log" 2>&1 || { failed=1 && tail -n 40 "$results/$name.log" >&2; }
done < <("${runner[@]}" list)
"${runner[@]}" table --results "$results" >"$results/page.md"
if [ "${1:-}" = --write-docs ]; then cp "$results/page.md" docs/compatibility.md; else cat "$results/page.md"; fi
exit "$failed"
