#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# redis-server, which is linked to jemalloc: the same commands bare and under heapster get the same
# replies, heapster's live bytes are redis' own, and it saw all of them. redis_test.sh BUILD
#
# Redis adds up the usable sizes of what it allocates by itself (used_memory). What its libraries
# allocate (OpenSSL, libc) is in heapster's sum alone, and is the same before and after the commands:
# so both have to grow by the same, within 64 KiB for the buffers of the connection that asks.
set -euo pipefail

build=$1
place=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$place"' EXIT
export HEAPSTER_RUN_DIR=$place/run
mkdir -m 0700 "$HEAPSTER_RUN_DIR"
cd "$place"

fail() {
  echo "failed: $*"
  exit 1
}

redis() { redis-cli -s "$place/socket" "$@"; }
used_memory() { redis info memory | tr -d '\r' | sed -n 's/^used_memory://p'; }
live() { "$build/heapster" show --json "$1" | jq .stats.use_curr; }

# Strings, lists, hashes, sets and sorted sets; all replies are in a fixed order.
commands() {
  awk 'BEGIN {
    for (i = 0; i < 20000; ++i) {
      k = (i * 7919) % 3001
      v = sprintf("%0" (k % 200 + 1) "d", i)
      print "SET s" k " " v; print "APPEND s" (i % 500) " " v; print "RPUSH l" (k % 50) " " v
      print "HSET h" (k % 40) " f" (i % 300) " " v; print "SADD m" (k % 30) " " v
      print "ZADD z" (k % 20) " " (i % 977) " " v; print "GETRANGE s" (i % 3001) " 0 40"
      if (i % 3 == 0) print "DEL s" ((i * 31) % 3001)
      if (i % 5 == 0) print "LPOP l" (i % 50)
    }
    for (k = 0; k < 50; ++k) print "LRANGE l" k " 0 -1"
    for (k = 0; k < 20; ++k) print "ZRANGE z" k " 0 -1 WITHSCORES"
    for (k = 0; k < 30; ++k) print "SORT m" k " ALPHA"
    print "DBSIZE"
  }'
}

start() {
  "$@" redis-server --port 0 --unixsocket "$place/socket" --save '' --appendonly no --daemonize no \
    --dir "$place" --pidfile "$place/pid" >"$place/log" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    [ "$(redis ping 2>/dev/null)" = PONG ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  cat "$place/log"
  fail "redis-server did not start"
}

stop() {
  redis shutdown nosave || true
  wait "$server" || fail "redis-server's exit status under ${1:-nothing}: $?"
  server=
}

commands >"$place/commands"
start
redis <"$place/commands" >"$place/bare"
stop

start "$build/heapster" run -o "$place/redis.heap" --
pid=$(redis info server | tr -d '\r' | sed -n 's/^process_id://p')
redis_before=$(used_memory)
heapster_before=$(live "$pid")
redis <"$place/commands" >"$place/measured"
redis_grew=$(($(used_memory) - redis_before))
heapster_grew=$(($(live "$pid") - heapster_before))
echo "redis grew by $redis_grew bytes, heapster saw $heapster_grew"
stop heapster

cmp "$place/bare" "$place/measured" || fail "the replies differ"
[ "$redis_grew" -gt 1000000 ] || fail "the commands did nothing"
difference=$((heapster_grew - redis_grew))
[ "${difference#-}" -le 65536 ] || fail "heapster and redis disagree by $difference bytes"
verdict=$("$build/heapster" show --json "$place/redis.heap" | jq -r .coverage.verdict)
[ "$verdict" = full ] || fail "coverage $verdict"

# The plain library, too: redis is a C program, so nobody calls jemalloc's operator new.
start env LD_PRELOAD="$build/libheapster.so" HEAPSTER_OUT="$place/plain.heap"
redis ping >/dev/null
stop
verdict=$("$build/heapster" show --json "$place/plain.heap" | jq -r .coverage.verdict)
[ "$verdict" = full ] || fail "coverage $verdict of the plain library"
echo "redis and heapster agree"
