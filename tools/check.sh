#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a change has to pass besides the tests: format, clang-tidy, shellcheck, layers, docs.
#   tools/check.sh          all of it
#   tools/check.sh --quick  without clang-tidy
set -euo pipefail
cd "$(dirname "$0")/.."

tools/packages.sh build check
mapfile -t sources < <(git ls-files --cached --others --exclude-standard '*.cpp' '*.h' '*.hpp' '*.c')
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

echo "format: ${#sources[@]} files"
clang-format --dry-run --Werror "${sources[@]}"
echo "shellcheck: ${#scripts[@]} scripts"
shellcheck "${scripts[@]}"
echo "layers and docs"
test/layers.sh .
[ "${1:-}" = --quick ] && exit 0

[ -f build/dev/compile_commands.json ] || tools/build.sh dev
mapfile -t units < <(git ls-files 'src/*.cpp' 'tools/*.cpp')
echo "clang-tidy: ${#units[@]} units"
printf '%s\n' "${units[@]}" |
  xargs -P "$(nproc)" -n 2 clang-tidy -p build/dev --quiet --warnings-as-errors='*' 2>/dev/null
echo "all checks passed"
