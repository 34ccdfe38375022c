#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Real programs' stacks, taken by our unwinder and by libunwind: compare.sh COMPARE_LIBRARY SOURCES. Fails where one
# frame differs, or where fewer stacks were compared than that says something. Code that no unwind table describes
# (a JIT's) ends ours and lets libunwind guess: such stacks are "shorter", which only the programs with a JIT may have.
set -euo pipefail

library=$(realpath "$1")
sources=$2
work=$(mktemp -d)
redis=
trap '[ -z "$redis" ] || kill "$redis" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
total=0
repeated=0
failed=0

judge() { # judge NAME MAY_BE_SHORTER < lines
  local name=$1 may=$2 stacks frames different shorter longer again
  read -r stacks frames different shorter longer again < <(awk '{s += $2; f += $4; d += $6; k += $8; l += $10; a += $12}
    END {print s + 0, f + 0, d + 0, k + 0, l + 0, a + 0}' "$work/out")
  echo "$name: $stacks stacks, $frames frames, $different different, $shorter shorter, $longer longer, $again again"
  total=$((total + stacks))
  repeated=$((repeated + again))
  [ "$different" = 0 ] && [ "$longer" = 0 ] && [ "$stacks" -gt 100 ] || failed=1
  [ "$may" = may ] || [ "$shorter" = 0 ] || failed=1
}

compare() { # compare NAME may|not EVERY COMMAND…
  local name=$1 may=$2 every=$3
  shift 3
  rm -f "$work/out"
  COMPARE_OUT=$work/out COMPARE_EVERY=$every LD_PRELOAD=$library "$@" >/dev/null
  judge "$name" "$may"
}

cat >signals.c <<'C'
#include <signal.h>
#include <stdlib.h>
static void *volatile kept;
static void handler(int number) { kept = malloc((size_t)number); free(kept); }
static void deep(int n) { if (n == 0) { for (int i = 0; i < 5000; ++i) raise(SIGUSR1); } else { deep(n - 1); kept = kept; } }
int main(void) { signal(SIGUSR1, handler); deep(20); return 0; }
C
gcc -O1 -o signals signals.c
cat >H.java <<'JAVA'
public class H { public static void main(String[] a) {
  StringBuilder b = new StringBuilder(); for (int i = 0; i < 300000; i++) b.append(i); System.out.println(b.length()); } }
JAVA
javac H.java

compare signals not 1 ./signals
# shellcheck disable=SC2016 # perl's own variables
compare perl not 1 perl -e 'my %h; $h{$_}="v$_" for 1..50000; my @s = sort keys %h; print scalar @s'
compare python3 not 1 python3 -c 'import json, re; print(len(json.dumps([str(i) for i in range(50000)])), re.sub("a", "b", "a" * 1000))'
compare sqlite3 not 1 sqlite3 :memory: 'create table t(a); with recursive c(x) as (select 1 union all select x+1 from c where x<20000) insert into t select x from c; select sum(a) from t;'
compare cc1plus not 3 g++ -std=c++20 -O1 -I"$sources/src" -I"$sources/include" -c -o x.o "$sources/src/unwind/cfi.cpp"
compare clang not 3 clang++ -std=c++20 -O1 -I"$sources/src" -I"$sources/include" -c -o x.o "$sources/src/unwind/cfi.cpp"
compare java may 1 java -cp . H

rm -f out
COMPARE_OUT=$work/out COMPARE_EVERY=5 LD_PRELOAD=$library redis-server --port 0 --unixsocket redis.socket --save '' >/dev/null &
redis=$!
until redis-cli -s redis.socket ping >/dev/null 2>&1; do kill -0 "$redis"; done
redis-benchmark -s redis.socket -n 20000 -q >/dev/null
redis-cli -s redis.socket shutdown nosave || true
wait "$redis" || true
redis=
judge redis not

echo "$total stacks in all, of which $repeated were the last one again"
[ "$total" -gt 300000 ] && [ "$repeated" -gt 10000 ] || failed=1
exit "$failed"
