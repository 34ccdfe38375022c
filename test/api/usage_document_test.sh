#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/memory-usage.md shows the program that is compiled here, and prints what that program prints:
# usage_document_test.sh SOURCES PROGRAM
set -euo pipefail

document=$1/docs/memory-usage.md
example=$1/test/api/examples/sessions.cpp
program=$2

# The lines of the document's first block of a language.
block() { awk -v start="\`\`\`$1" '$0 == start { inside = 1; next } /^```$/ && inside { exit } inside' "$document"; }

diff <(block cpp) <(sed -n '/^#include/,$p' "$example") ||
  { echo "the document shows another program than $example"; exit 1; }
diff <(block text) <("$program") || { echo "the document shows another output than the program's"; exit 1; }
echo "the document shows what is"
