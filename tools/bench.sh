#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Measures what heapster costs, against nothing at all and against other ways of counting, and sets the figures beside
# the project's targets. It reports; it does not judge: the exit status is 0 unless something could not be run.
#
#   tools/bench.sh                 everything, a few minutes; the machine should do nothing else meanwhile
#   tools/bench.sh --quick         few rounds, about a minute: for a first look only
#   tools/bench.sh --write-docs    everything, and write docs/performance.md
#   tools/bench.sh --help          all options
#
# heapster is built as users build it (tools/build.sh, into build/release) and the parts beside it (test/bench, into
# build/bench), so that what is measured is what is installed. `--heapster DIR` measures another build and
# builds none; `--heapster none` compares the others only.
set -eu
cd "$(dirname "$0")/.."

<<<<<<< HEAD
# Prints the packages whose file or command (the word before the colon) is missing.
missing() {
  for need in "$@"; do
    thing=${need%%:*}
    command -v "$thing" >/dev/null 2>&1 || [ -e "$thing" ] || printf '%s ' "${need#*:}"
  done
}

# Without the first list nothing runs; without the second a row or a column is left out, which the report says.
install_needs() {
  memusage=/usr/lib/$(uname -m)-linux-gnu/libmemusage.so
  required=$(missing cmake:cmake ninja:ninja-build g++:g++ /usr/bin/python3:python3)
  optional=$(missing perl:perl sqlite3:sqlite3 heaptrack:heaptrack "$memusage:libc-devtools")
  [ -n "$required$optional" ] || return 0
  if [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086 # a list of words
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $required $optional; } >&2 || true
    required=$(missing cmake:cmake ninja:ninja-build g++:g++ /usr/bin/python3:python3)
  else
    echo "bench.sh: some packages are missing: apt-get install $required$optional" >&2
  fi
  [ -z "$required" ] || { echo "bench.sh: cannot run without: $required" >&2; exit 1; }
}

=======
>>>>>>> bench
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
<<<<<<< HEAD
install_needs
=======
tools/packages.sh build bench || echo "bench.sh: going on without; what cannot be measured is left out" >&2
>>>>>>> bench
build_parts
case " $* " in
  *" --heapster"*) ;;
  *) tools/build.sh >&2 ;;
esac
exec /usr/bin/python3 tools/bench_measure.py "$@"
