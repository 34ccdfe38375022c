#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs a build below a directory of its own, as a distribution would, and uses it from there:
# package_test.sh BUILD
set -euo pipefail

build=$1
root=$(mktemp -d)
runs=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
trap 'rm -rf "$root" "$runs"' EXIT
export HEAPSTER_RUN_DIR=$runs

cmake --install "$build" --prefix "$root/usr" >"$root/log"
for file in bin/heapster bin/heapster-run include/heapster/counters.def include/heapster/memory_usage.hpp \
  share/doc/heapster/LICENSE share/doc/heapster/README.md share/doc/heapster/docs/format.md; do
  [ -e "$root/usr/$file" ] || { echo "not installed: $file"; exit 1; }
done
for library in libheapster.so libheapster-new.so; do
  find "$root/usr" -name "$library" | grep -q . || { echo "not installed: $library"; exit 1; }
done

cd "$root"
usr/bin/heapster-run perl -e 'my @a = (1..1000); exit 3' 2>report && status=0 || status=$?
[ "$status" = 3 ] || { echo "exit status $status"; cat report; exit 1; }
grep -q 'Allocations' report || { echo "no report"; cat report; exit 1; }
usr/bin/heapster show heapster.perl.*.heap >/dev/null
echo "the installed heapster works"
