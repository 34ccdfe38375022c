#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what the tests need, builds, and runs all of them through ctest, but for the soak tests (tools/soak.sh):
#   tools/test.sh [CTEST OPTION…]
set -euo pipefail
cd "$(dirname "$0")/.."

tools/packages.sh build test compat bench check
tools/build.sh release
tools/build.sh dev
exec ctest --test-dir build/dev --parallel "$(nproc)" --output-on-failure --no-tests=error -LE soak "$@"
