#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# OpenTelemetry's probes: readelf finds them in the library, and gdb, as a witness, stops at them for sampled blocks and
# reads the arguments that the program's own calls had. They lie in the registers of a function's first arguments, where
# OpenTelemetry's profiler looks for them. probes_test.sh BUILD
set -euo pipefail

build=$1
work=$(mktemp -d)
runs=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
trap 'rm -rf "$work" "$runs"' EXIT
cd "$work"

declare -A wanted
case "$(uname -m)" in
  x86_64) wanted=([alloc]='8@%rdi 8@%rsi 8@%rdx' [free]='8@%rdi') ;;
  *) wanted=([alloc]='8@x0 8@x1 8@x2' [free]='8@x0') ;;
esac
# Every place that has the probe, as the notes tell.
arguments_of() {
  readelf --notes "$1" | grep -A3 'Provider: otel_memory' | grep -A2 -x " *Name: $2" | sed -nE 's/^ *Arguments: //p' | sort -u
}
for library in libheapster.so libheapster-new.so; do
  for probe in alloc free; do
    found=$(arguments_of "$build/$library" "$probe")
    [ "$found" = "${wanted[$probe]}" ] ||
      { echo "$library: otel_memory:$probe has its arguments in '$found', not in '${wanted[$probe]}'"; exit 1; }
  done
done

cat >program.c <<'EOF'
#include <stdlib.h>
int main(void) {
  void* block = malloc(12345);
  block = realloc(block, 23456);
  free(block);
  return 0;
}
EOF
cc -g -fno-builtin -o program program.c

# Stops at each probe, and prints its arguments: pointer, and for alloc size and weight.
cat >commands <<'EOF'
set pagination off
set confirm off
set debuginfod enabled off
set startup-with-shell off
break main
run
break -probe-stap otel_memory:alloc
commands
silent
printf "alloc %lx %lu %lu\n", $_probe_arg0, $_probe_arg1, $_probe_arg2
continue
end
break -probe-stap otel_memory:free
commands
silent
printf "free %lx\n", $_probe_arg0
continue
end
continue
EOF
probed() {
  gdb -nx -batch -ex "set environment LD_PRELOAD $build/libheapster.so" -ex "set environment HEAPSTER_OUT none" \
    -ex "set environment HEAPSTER_RUN_DIR $runs" ${1:+-ex "set environment HEAPSTER_STACKS $1"} -x commands \
    ./program </dev/null 2>errors | grep -E '^(alloc|free) ' || true
}

probed 1 >every
awk '
  $1 == "alloc" && $3 >= 12345 && $3 < 12400 && $4 == $3 && !first { first = $2 }
  $1 == "free" && $2 == first && !went { went = NR }
  $1 == "alloc" && went && NR == went + 1 && $3 >= 23456 && $3 < 23500 && $4 == $3 { second = $2 }
  $1 == "free" && second && $2 == second { done = 1 }
  END { exit !done }' every || { echo "the calls are not told as they were:"; cat every errors; exit 1; }

probed "" >none
[ ! -s none ] || { echo "without stacks nothing is sampled, but:"; cat none; exit 1; }
echo "the probes tell what was sampled"
