#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Real programs that run out of memory: programs_test.sh BUILD
#
# Under a limit python3 and redis-server end as they do where the kernel gives no more. Under HEAPSTER_FAIL=every:N
# python3, perl and sqlite3 do whatever they do with a plain shim that refuses the same calls, crash or no crash: so
# nothing of that is heapster's.
set -euo pipefail

build=$1
place=$(mktemp -d /dev/shm/heapster-test-XXXXXX)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait; rm -rf "$place"' EXIT
export HEAPSTER_RUN_DIR=$place/run
mkdir -m 0700 "$HEAPSTER_RUN_DIR"
cd "$place"
ulimit -c 0

fail() {
  echo "failed: $*"
  exit 1
}

json() { "$build/heapster" show --json "$1" | jq -r "$2"; }

# The exit status of a command, whose outputs go into out.NAME and err.NAME.
status_of() {
  local name=$1 status=0
  shift
  "$@" >"out.$name" 2>"err.$name" || status=$?
  echo "$status"
}

# The outcome with every Nth attempt refused, by the shim and by heapster.
compare() {
  local every=$1 shim ours
  shift
  shim=$(status_of shim env SHIM_EVERY="$every" LD_PRELOAD="$build/programs/libfail_shim.so" "$@" 2>/dev/null)
  for more in HEAPSTER_VERBOSE=0 HEAPSTER_STACKS=4K; do
    ours=$(status_of ours env "$more" HEAPSTER_FAIL="every:$every" HEAPSTER_OUT=none \
      LD_PRELOAD="$build/libheapster.so" "$@" 2>/dev/null)
    [ "$shim" = "$ours" ] || fail "every:$every of $1: exit status $ours, $shim under the shim"
    cmp out.shim out.ours || fail "every:$every of $1: another output"
  done
  outcomes[$shim]=1
}

export PYTHONHASHSEED=0 PERL_HASH_SEED=0
declare -A outcomes
for every in 2 5 17 50 100 333 1000 3000 100000; do
  compare "$every" /usr/bin/python3 -c 'import json; print(len(json.dumps({str(i): [i] * 10 for i in range(3000)})))'
  # shellcheck disable=SC2016
  compare "$every" perl -e 'my %h; $h{$_}="v$_" for 1..20000; print scalar(keys %h), "\n"'
  compare "$every" sqlite3 :memory: 'create table t(a); with recursive c(x) as (select 1 union all
    select x + 1 from c where x < 5000) insert into t select hex(x) from c; select count(*) from t;'
done
[ "${outcomes[0]:-0}" = 1 ] || fail "nothing ever succeeded"
[ "${outcomes[1]:-0}" = 1 ] || fail "nothing ever failed"
echo "failures: exit statuses ${!outcomes[*]}, with the shim as with heapster"

# python3: as under ulimit -v.
greedy='x = [bytearray(100000) for i in range(100000)]'
bare=$(ulimit -v 400000; status_of bare /usr/bin/python3 -c "$greedy")
ours=$(status_of ours "$build/heapster" run --limit 64M -o python.heap -- /usr/bin/python3 -c "$greedy")
[ "$bare" = "$ours" ] || fail "python3: exit status $ours, under ulimit $bare"
[ "$(tail -1 err.bare)" = MemoryError ] || fail "python3 under ulimit: $(cat err.bare)"
grep -qx MemoryError err.ours || fail "python3: no MemoryError"
grep -q 'limit .*64.0 MiB .*first reached at' err.ours || fail "python3: the report does not tell of the limit"
for snapshot in python.heap python.1.heap; do
  [ "$(json $snapshot '.process.limit_reached != null')" = true ] || fail "$snapshot does not tell of the limit"
  peak=$(json $snapshot .stats.use_max)
  [ "$peak" -le $((65 * 1024 * 1024)) ] || fail "$snapshot: $peak live bytes"
done
live=$(json python.1.heap .stats.use_curr)
[[ "$live" -gt $((63 * 1024 * 1024)) && "$live" -le $((64 * 1024 * 1024)) ]] || fail "refused at $live live bytes"
[ ! -e python.2.heap ] || fail "more than one snapshot"
echo "python3: MemoryError at $live live bytes, exit status $ours"

# redis-server, over its jemalloc: says so and aborts, as it always does.
"$build/heapster" run --limit 64M -q -o redis.heap -- redis-server --port 0 --unixsocket "$place/socket" --save '' \
  --appendonly no --daemonize no --dir "$place" >log 2>&1 &
server=$!
for _ in $(seq 600); do
  [ "$(redis-cli -s "$place/socket" ping 2>/dev/null)" = PONG ] && break
  kill -0 "$server" 2>/dev/null || break
  sleep 0.05
done
stored=0
for i in $(seq 100); do
  [ "$(redis-cli -s "$place/socket" SETRANGE "k$i" 3000000 x 2>/dev/null)" = 3000001 ] || break
  stored=$i
done
ours=0
wait "$server" || ours=$?
server=
[ "$ours" = 134 ] || fail "redis-server: exit status $ours: $(tail -3 log)"
grep -q 'Out Of Memory' log || fail "redis-server: $(tail -3 log)"
live=$(json redis.1.heap .stats.use_curr)
[[ "$stored" -ge 15 && "$live" -le $((64 * 1024 * 1024)) ]] || fail "redis stored $stored, $live live bytes"
echo "redis-server: out of memory at $live live bytes, after $stored values"
