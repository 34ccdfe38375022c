#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Loads redis and PostgreSQL for minutes under heapster, beside the same servers bare (test/soak). The machine should
# do nothing else meanwhile.
#   tools/soak.sh [--write-docs] [SECONDS]     600 seconds for each unless told otherwise; --write-docs: docs/soak.md
set -euo pipefail
cd "$(dirname "$0")/.."

page=/dev/stdout
if [ "${1:-}" = --write-docs ]; then
  page=docs/soak.md
  shift
fi
tools/packages.sh build test compat
tools/build.sh release >&2
mkdir -p build/soak
cc -O1 -Wall -Wextra -shared -fPIC -o build/soak/witness.so test/soak/witness.c
failed=0
for server in redis postgresql; do
  /usr/bin/python3 -B test/soak/soak.py "$server" --heapster "$PWD/build/release/heapster" \
    --preload "$PWD/build/release/libheapster.so" --witness "$PWD/build/soak/witness.so" --seconds "${1:-600}" \
    --results build/soak >&2 || failed=1
done
/usr/bin/python3 -B test/soak/soak.py page --results build/soak >"$page"
exit "$failed"
