#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Each header that programs include compiles alone, with either compiler, and without a warning: headers.sh SOURCES
set -euo pipefail

for header in testing benchmark memory_resource; do
  for compiler in g++ clang++; do
    "$compiler" -std=c++20 -Wall -Wextra -Wshadow -Wconversion -Werror -I"$1/include" -x c++ -fsyntax-only - \
      <<<"#include <heapster/$header.hpp>"
    echo "$header.hpp: $compiler"
  done
done
