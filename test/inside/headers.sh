#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each header that programs include compiles alone, with either compiler, and without a warning; where C++ is too old, it
# says so in one error: headers.sh SOURCES
set -euo pipefail

compile() {
  local compiler=$1 standard=$2 header=$3
  "$compiler" "-std=c++$standard" -Wall -Wextra -Wshadow -Wconversion -Werror "-I$include" -x c++ -fsyntax-only - \
    <<<"#include <heapster/$header>"
}
include=$1/include

while read -r header least below; do
  for compiler in g++ clang++; do
    for standard in "$least" 20; do compile "$compiler" "$standard" "$header"; done
    errors=$(compile "$compiler" "$below" "$header" 2>&1 | grep -c 'error:') || true
    [ "$errors" = 1 ] || { echo "$header: $errors errors from $compiler in C++$below"; exit 1; }
    echo "$header: $compiler"
  done
done <<'EOF'
heapster.hpp 17 14
testing.hpp 17 14
benchmark.hpp 17 14
memory_resource.hpp 17 14
memory_usage.hpp 20 17
EOF
