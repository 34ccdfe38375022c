#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Loads redis and PostgreSQL for minutes under heapster, beside the same servers bare (test/soak). The machine should
# do nothing else meanwhile.
#   tools/soak.sh [--write-docs] [SECONDS [SERVER…]]
# 600 seconds each for redis and postgresql unless told otherwise; --write-docs: into docs/soak.md.
set -euo pipefail
cd "$(dirname "$0")/.."

page=/dev/stdout
if [ "${1:-}" = --write-docs ]; then
  page=docs/soak.md
  shift
fi
seconds=${1:-600}
servers=("${@:2}")
[ ${#servers[@]} -gt 0 ] || servers=(redis postgresql)
for server in "${servers[@]}"; do
  if ! [[ $seconds =~ ^[1-9][0-9]*$ && $server =~ ^(redis|postgresql)$ ]]; then
    echo "soak.sh: usage: tools/soak.sh [--write-docs] [SECONDS [redis|postgresql]…]" >&2
    exit 2
  fi
done
tools/packages.sh build test compat
tools/build.sh release >&2
mkdir -p build/soak
cc -O1 -Wall -Wextra -shared -fPIC -o build/soak/witness.so test/soak/witness.c
failed=0
for server in "${servers[@]}"; do
  /usr/bin/python3 -B test/soak/soak.py "$server" --heapster "$PWD/build/release/heapster" \
    --preload "$PWD/build/release/libheapster.so" --witness "$PWD/build/soak/witness.so" --seconds "$seconds" \
    --results build/soak >&2 || failed=1
done
/usr/bin/python3 -B test/soak/soak.py page --results build/soak >"$page"
exit "$failed"
