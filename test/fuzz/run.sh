#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds a fuzzer and runs it: test/fuzz/run.sh load|unwind [SECONDS] [DIRECTORY]. Fails on the first finding and leaves
# it in DIRECTORY as crash-*, oom-* or timeout-*.
#   load    the reader, with every report. Seeds are made afresh from the layout, so they are never those of an older
#           format; test/fuzz/corpus keeps what earlier runs found worth keeping (a choice from `fuzz_load -merge=1`)
#   unwind  the unwinder, with the tables and the stack as input. Its seed is a real program's tables
set -eu

target=$1
seconds=${2:-60}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=${3:-$source/build/fuzz}/$target
cxx=${CXX:-clang++-14}
mkdir -p "$work/seeds" "$work/corpus" "$work/objects"

flags="-std=c++20 -O1 -g1 -fno-omit-frame-pointer -I$source/src -I$source/include -I$source/test/synthetic"
checks="-fsanitize=address,undefined -fno-sanitize-recover=undefined"

case $target in
  load)
    sources="$source/src/reader/*.cpp $source/src/report/*.cpp"
    libraries="-lfmt -lelf -lz"
    corpus=$source/test/fuzz/corpus
    # shellcheck disable=SC2086
    $cxx $flags "$source"/test/synthetic/synthetic.cpp "$source"/test/synthetic/stack_tables.cpp \
      "$source"/test/synthetic/make_segment.cpp -o "$work/make_segment"
    "$work/make_segment" "$work/seeds"
    ;;
  unwind)
    sources="$source/src/unwind/*.cpp"
    libraries=
    corpus=
    echo 'int main() { return 0; }' >"$work/seed.cpp"
    $cxx -fuse-ld=bfd -o "$work/seed" "$work/seed.cpp"
    objcopy -O binary -j .eh_frame_hdr -j .eh_frame "$work/seed" "$work/tables"
    # 32 words of stack behind the tables.
    { printf '\040'; cat "$work/tables"; head -c 256 "$work/seed"; } >"$work/seeds/program"
    ;;
  *)
    echo "run.sh: no fuzzer '$target' (load, unwind)" >&2
    exit 2
    ;;
esac

# shellcheck disable=SC2086
printf '%s\n' "$source/test/fuzz/fuzz_$target.cpp" $sources |
  xargs -P "$(nproc)" -I SOURCE sh -ec \
    "$cxx $flags $checks -fsanitize=fuzzer-no-link -c SOURCE -o $work/objects/\$(basename SOURCE .cpp).o"
# shellcheck disable=SC2086
$cxx $checks -fsanitize=fuzzer "$work"/objects/*.o $libraries -o "$work/fuzz_$target"
cd "$work"
# shellcheck disable=SC2086
exec "./fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=131072 -print_final_stats=1 \
  corpus seeds $corpus
