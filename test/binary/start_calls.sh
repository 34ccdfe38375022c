#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a process asks the kernel for our sake from its start to its end, without a snapshot: start_calls.sh LIBRARY
#
# Nothing that a reader can find later, and nothing of the process itself more often than it may have changed.
set -euo pipefail

library=$1
place=$(mktemp -d)
runs=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
trap 'rm -rf "$place" "$runs"' EXIT

calls_of() {
  strace -o "$place/log" "$@" /bin/true
  grep -oE '^[a-z0-9_]+\(' "$place/log" | tr -d '(' | sort
}

calls_of >"$place/bare"
calls_of -E HEAPSTER_OUT=none -E "HEAPSTER_RUN_DIR=$runs" -E "LD_PRELOAD=$library" >"$place/measured"
comm -13 "$place/bare" "$place/measured" | uniq -c >"$place/more"

broken=0
at_most() {
  local times
  times=$(awk -v name="$2" '$2 == name {print $1}' "$place/more")
  [ "${times:-0}" -le "$1" ] && return
  echo "$2 is called $times times instead of $1"
  broken=1
}
at_most 3 getpid # at the start, by the handler at exit, which a child may have inherited, and on the way out
at_most 3 geteuid # at the start, and whenever the run directory is looked at
at_most 2 gettid
at_most 2 prctl
at_most 2 readlinkat # the executable and the namespace
if grep -E 'boot_id|/proc/self/(maps|status|cmdline)' "$place/log"; then
  echo "a reader can find that later"
  broken=1
fi
total=$(awk '{sum += $1} END {print sum}' "$place/more")
echo "$total calls"
[ "$total" -ge 20 ] && [ "$total" -le 60 ] || broken=1
[ "$broken" = 0 ] || cat "$place/more"
exit "$broken"
