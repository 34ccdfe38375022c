#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Measures what heapster costs, against nothing at all and against other ways of counting, and sets the figures beside
# the project's targets. It reports; it does not judge: the exit status is 0 unless something could not be run.
#
#   tools/bench.sh                 everything, 20 to 50 minutes; the machine should do nothing else meanwhile
#   tools/bench.sh --quick         few rounds, about a minute: for a first look only
#   tools/bench.sh --write-docs    everything, and write docs/performance.md
#   tools/bench.sh --help          all options
#
# heapster is built as users build it (tools/build.sh, into build/release) and the parts beside it (test/bench, into
# build/bench), so that what is measured is what is installed. `--heapster DIR` measures another build and
# builds none; `--heapster none` compares the others only.
set -eu
cd "$(dirname "$0")/.."

# Quiet unless it fails.
build_parts() {
  mkdir -p build/bench
  if ! { cmake -S test/bench -B build/bench -G Ninja && cmake --build build/bench; } >build/bench/build.log 2>&1; then
    tail -n 30 build/bench/build.log >&2
    echo "bench.sh: the benchmark's parts do not build (build/bench/build.log)" >&2
    exit 1
  fi
}

case " $* " in
  *" --help "* | *" -h "*) exec /usr/bin/python3 tools/bench_measure.py --help ;;
esac
tools/packages.sh build bench || echo "bench.sh: going on without; what cannot be measured is left out" >&2
build_parts
case " $* " in
  *" --heapster"*) ;;
  *) tools/build.sh >&2 ;;
esac
exec /usr/bin/python3 tools/bench_measure.py "$@"
