#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs of other C libraries that inherit our LD_PRELOAD: libcs_test.sh musl|old BUILD
#
# Over musl we are off, and the program runs as without us. Over the glibc of Debian 11 (2.31), which has dlsym and
# threads in libraries of their own, we count as we do here. That one comes from where apt gets its packages on this
# machine; if it is not to be had there, the test is skipped (77).
set -euo pipefail

which=$1
build=$2
here=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
runs=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
trap 'rm -rf "$place" "$runs"' EXIT
export HEAPSTER_RUN_DIR=$runs
unset LD_PRELOAD

fail() {
  echo "failed: $*"
  exit 1
}

# Runs a command with LD_PRELOAD, which has to end with 7 and print what it prints without.
unharmed() {
  local library=$1 status=0
  shift
  "$@" >"$place/bare" 2>&1 || status=$?
  [ "$status" = 7 ] || fail "without us: $status, $(cat "$place/bare")"
  local status=0
  env LD_PRELOAD="$library" "$@" >"$place/measured" 2>&1 || status=$?
  [ "$status" = 7 ] || fail "with $library: $status, $(cat "$place/measured")"
  cmp "$place/bare" "$place/measured"
}

on_musl() {
  local library status=0
  musl-gcc -O0 "$here/../programs/seven.c" -o "$place/seven"
  for library in libheapster.so libheapster-new.so; do
    HEAPSTER_STACKS=1 HEAPSTER_OUT=$place/none.heap unharmed "$build/$library" "$place/seven"
    HEAPSTER_STACKS=1 HEAPSTER_OUT=$place/none.heap unharmed "$build/$library" "$place/seven" run "$place/seven"
    [ -z "$(ls "$runs")" ] || fail "a segment was made"
    [ ! -e "$place/none.heap" ] || fail "a snapshot was written"
  done
  "$build/heapster" run "$place/seven" 2>"$place/report" || status=$?
  [ "$status" = 7 ] || fail "heapster run: $status, $(cat "$place/report")"
  grep -q 'is a program of musl' "$place/report" || fail "heapster run does not tell: $(cat "$place/report")"
}

package=libc6_2.31-13+deb11u11_amd64.deb
sum=05f7264da867b37f4c5ce49266b558ea1e81e05a9464f623152fca70f3550282

fetch() {
  local archive kept=$build/libcs/$package
  mkdir -p "$build/libcs"
  # shellcheck disable=SC2016  # a name of apt's
  archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -1)
  if [ ! -e "$kept" ] && ! timeout 60 /usr/lib/apt/apt-helper download-file \
    "${archive%/}/pool/main/g/glibc/$package" "$kept" "SHA256:$sum" >"$place/log" 2>&1; then
    echo "skipped: there is no glibc 2.31 to be had"
    exit 77
  fi
  dpkg-deb -x "$kept" "$place/root"
}

allocations() { "$build/heapster" show --json "$1" | jq .stats.alloc_count; }

on_old() {
  fetch
  local libraries=$place/root/lib/x86_64-linux-gnu
  local compile=(gcc -O1 -fno-builtin -fno-stack-protector -nostartfiles "$here/old.c")
  "${compile[@]}" -o "$place/alone"
  "${compile[@]}" -DTHREADS -Wl,--no-as-needed -l:libpthread.so.0 -o "$place/threads"
  for program in alone threads; do
    for library in libheapster.so libheapster-new.so; do
      for times in 0 1000; do
        HEAPSTER_STACKS=1K HEAPSTER_OUT=$place/$times.heap unharmed "$build/$library" \
          "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$place/$program" "$times"
      done
      more=$(($(allocations "$place/1000.heap") - $(allocations "$place/0.heap")))
      wanted=$([ "$program" = alone ] && echo 1000 || echo 4000)
      [ "$more" = "$wanted" ] || fail "$program with $library: $more allocations instead of $wanted"
      [ -z "$(ls "$runs")" ] || fail "a segment stayed behind"
    done
  done
}

"on_$which"
