#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what the tests need, builds, and runs all of them through ctest, but for the soak tests (tools/soak.sh):
#   tools/test.sh [CTEST OPTION…]
#   tools/test.sh --quick [CTEST OPTION…]    the unit tests alone, which measure no program
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --quick ]; then
  shift
  tools/build.sh unit
  exec ctest --preset unit --parallel "$(nproc)" "$@"
fi
tools/packages.sh build test compat bench check
tools/build.sh release
tools/build.sh dev
exec ctest --preset dev --parallel "$(nproc)" "$@"
