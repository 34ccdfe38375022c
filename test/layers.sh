#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Holds the house to its plan: layers.sh SOURCES. Includes follow the arrows only,
#   include/heapster <- src/layout <- src/preload -> src/unwind
#                       src/layout <- src/reader <- src/report <- tools/heapster
#                                     src/reader <- src/symbols <- tools/heapster
# the preload uses no library but libc, the reader prints nothing, and every file that the docs name
# exists.
set -euo pipefail
cd "$1"

broken=0
broken() {
  echo "broken: $*"
  broken=1
}

# Files of a directory may include these directories' headers (a regular expression).
check_layer() {
  local directory=$1 allowed=$2
  while IFS=: read -r file line include; do
    [[ "$include" =~ ^($allowed)/ || "$include" != */* && "$allowed" == *"."* ]] ||
      broken "$file:$line includes $include"
  done < <(grep -nE '^#include "' -r "$directory" | sed -E 's/#include "(.*)".*/\1/')
}
check_layer src/layout 'layout|heapster'
check_layer src/unwind 'unwind'
check_layer src/preload 'preload|unwind|layout|heapster'
check_layer src/reader 'reader|layout|heapster'
check_layer src/report 'report|reader|layout|heapster'
check_layer src/symbols 'symbols|reader|layout|heapster'
check_layer tools/heapster 'report|symbols|reader|layout|heapster|.'

# The preload's rooms, from the ground up: each may use those before it, and hooks.cpp all of them.
rooms=$(sed -nE 's/^# ([a-z]+): .*/\1/p' src/preload/CMakeLists.txt)
below=''
for room in $rooms; do
  below+=${below:+|}$room
  while IFS=: read -r file line include; do
    [[ "$include" =~ ^preload/($below)/ || "$include" == preload/functions.def ]] || broken "$file:$line includes $include, which is above it"
  done < <(grep -nE '^#include "preload/' -r "src/preload/$room" | sed -E 's/#include "(.*)".*/\1/')
done
for directory in src/preload/*/; do
  grep -qx "$(basename "$directory")" <<<"$rooms" || broken "$directory is no room of src/preload/CMakeLists.txt"
done

# Angle brackets that a layer must not use.
forbid() {
  if grep -nE "#include <($2)" -r "$1"; then broken "$1 includes what it must not"; fi
}
forbid src/layout 'fmt|nlohmann|CLI|iostream|cstdio|vector|string>'
forbid src/preload 'fmt|nlohmann|CLI|iostream|cstdio|cstdlib|cstring|stdlib|string|vector|memory|functional|dlfcn|pthread|errno'
forbid src/unwind '[a-z_]*\.h|c(std(io|lib)|string)|string|vector|memory|functional'
forbid src/reader 'fmt|nlohmann|CLI|iostream'
forbid src/symbols 'fmt|nlohmann|CLI|iostream'
forbid src/report 'CLI|iostream|elf|dwarf'

# Paths in docs.
while IFS=: read -r file path; do
  [ -e "$path" ] || compgen -G "$path" >/dev/null || broken "$file names $path, which is not there"
done < <(grep -oE '\b(src|include|tools|test|docs)/[A-Za-z0-9_./*-]*[A-Za-z0-9_*]' -r README.md CHANGELOG.md CONTRIBUTING.md docs --include='*.md' |
  grep -vE ':test/fuzz/corpus' | sort -u)
# Links between docs.
while IFS=: read -r file link; do
  target=$(dirname "$file")/${link%%#*}
  [ -e "$target" ] || broken "$file links to $link, which is not there"
done < <(grep -oE '\]\([^)#:]+(#[^)]*)?\)' -r README.md CHANGELOG.md CONTRIBUTING.md docs --include='*.md' |
  sed -E 's/\]\((.*)\)/\1/')

[ "$broken" = 0 ] && echo "the layers hold"
exit "$broken"
