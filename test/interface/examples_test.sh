#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The examples of docs/api.md: the page shows the files beside this one, and they do what it says, under heapster and
# without it. examples_test.sh SOURCES BUILD
set -euo pipefail

sources=$1 build=$2
examples=$sources/test/interface/examples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

failed=0
wrong() {
  echo "wrong: $*"
  failed=1
}

include=$sources/include
cc -std=gnu11 -Wall -Wextra -Wconversion -Wno-sign-conversion -Wpedantic -Werror -fno-builtin -I "$include" -o c \
  "$examples/measure.c" -ldl
c++ -std=c++20 -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Werror -I "$include" -o cpp "$examples/measure.cpp" -ldl
clang++ -std=c++20 -Wall -Wextra -Wconversion -Werror -fsyntax-only -I "$include" "$examples/measure.cpp"
rustc --edition 2021 -D warnings -o rs "$examples/measure.rs"

expect() {
  local wanted=$1
  shift
  env "$@" >out
  grep -qF -- "$wanted" out || wrong "$* printed: $(cat out)"
}
measured=(HEAPSTER_OUT=none "LD_PRELOAD=$build/libheapster.so")
expect "strdup allocated 1 time, 6 bytes" "${measured[@]}" ./c
expect "1000 numbers took 11 allocations, 8188 bytes, and left 0 blocks" "${measured[@]}" ./cpp
expect "a million letters: 1.0 MB" "${measured[@]}" python3 "$examples/measure.py"
expect "a vector of 1000: 8000 bytes" "${measured[@]}" ./rs
for program in ./c ./cpp "python3 $examples/measure.py" ./rs; do
  # shellcheck disable=SC2086
  expect "measured: no" $program
done

for example in "$examples"/measure.*; do
  python3 - "$sources/docs/api.md" "$example" <<'PY' || wrong "docs/api.md does not show ${example##*/} as it is"
import sys
page, example = (open(name).read() for name in sys.argv[1:])
sys.exit(example not in page)
PY
done
exit "$failed"
