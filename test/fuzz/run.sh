#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds the loader's fuzzer and runs it: test/fuzz/run.sh [SECONDS] [DIRECTORY]. Seeds are made
# afresh from the layout, so they are never those of an older format; test/fuzz/corpus keeps what
# earlier runs found worth keeping (a choice from `fuzz_load -merge=1`). Fails on the first finding
# and leaves it in DIRECTORY as crash-*, oom-* or timeout-*.
set -eu

seconds=${1:-60}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=${2:-$source/build/fuzz}
cxx=${CXX:-clang++-14}
mkdir -p "$work/seeds" "$work/corpus"

flags="-std=c++20 -O1 -g1 -fno-omit-frame-pointer -I$source/src -I$source/include -I$source/test/synthetic"
checks="-fsanitize=address,undefined -fno-sanitize-recover=undefined"
# shellcheck disable=SC2086
$cxx $flags "$source"/test/synthetic/synthetic.cpp "$source"/test/synthetic/stack_tables.cpp \
  "$source"/test/synthetic/make_segment.cpp -o "$work/make_segment"
"$work/make_segment" "$work/seeds"
mkdir -p "$work/objects"
printf '%s\n' "$source"/test/fuzz/fuzz_load.cpp "$source"/src/reader/*.cpp "$source"/src/report/*.cpp |
  xargs -P "$(nproc)" -I SOURCE sh -ec \
    "$cxx $flags $checks -fsanitize=fuzzer-no-link -c SOURCE -o $work/objects/\$(basename SOURCE .cpp).o"
# shellcheck disable=SC2086
$cxx $checks -fsanitize=fuzzer "$work"/objects/*.o -lfmt -lelf -lz -o "$work/fuzz_load"
cd "$work"
exec ./fuzz_load -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=131072 -print_final_stats=1 \
  corpus seeds "$source/test/fuzz/corpus"
