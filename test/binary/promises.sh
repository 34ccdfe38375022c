#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What libheapster.so and libheapster-new.so promise as files: promises.sh LIBRARY SOURCES. Each broken
# promise is a line; the exit status is 1 if there is any.
set -euo pipefail

library=$1
preload=$2/src/preload
broken=0

broken() {
  echo "broken: $*"
  broken=1
}

# Exports are the functions of functions.def, and the operators where they belong, and nothing else.
lists=("$preload/functions.def")
[[ "$library" != *-new.so ]] || lists+=("$preload/operators/operators.def")
wanted=$(sed -nE 's/^HEAPSTER_(FUNCTION|NEW|DELETE)\(([A-Za-z0-9_]+), .*/\2/p' "${lists[@]}" | sort)
exported=$(nm -D --defined-only "$library" | awk '{print $3}' | sort)
[ -n "$wanted" ] || broken "functions.def lists nothing"
diff <(echo "$wanted") <(echo "$exported") || broken "exports differ from ${lists[*]}"

# It needs libc and no other library, and of libc only what libc.h and <link.h> declare. What is not weak is in every C
# library: in another one, or an older one, loading is not what fails.
needed=$(readelf -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p')
[ "$needed" = libc.so.6 ] || broken "NEEDED: $needed"
allowed=$(grep -oE '\b[a-z_]+\(' "$preload/base/libc.h" | tr -d '(' | sort -u)
while read -r kind symbol; do
  case "$kind $symbol" in
    "U dl_iterate_phdr" | "U memmove" | "U memcpy" | "U memset" | "U memcmp" | "U strlen") ;;
    "U getauxval" | "U __errno_location" | "U __cxa_atexit") ;;
    "w "*) grep -qx "$symbol" <<<"$allowed" || broken "imports $symbol" ;;
    *) broken "imports $symbol, which is not weak" ;;
  esac
done < <(nm -D --undefined-only "$library" | awk '{sub(/@.*/, "", $2); print $1, $2}')

# No symbol version is younger than getauxval's, or the first of aarch64.
youngest=$(nm -D --undefined-only "$library" | sed -nE 's/.*@GLIBC_([0-9.]+).*/\1/p' | sort -V | tail -1)
case "$(uname -m)" in x86_64) most=2.16 ;; *) most=2.17 ;; esac
[ "$(printf '%s\n%s\n' "$youngest" $most | sort -V | tail -1)" = $most ] || broken "needs GLIBC_$youngest"

# Static TLS only, and little of it; no IFUNC, no text relocations, no executable stack.
readelf -rW "$library" | grep -E 'DTPMOD|TLSDESC|IRELATIV' && broken "dynamic TLS or IFUNC relocations"
nm -D "$library" | grep -E '__tls_get_addr| i ' && broken "dynamic TLS or an IFUNC"
tls=$(readelf -lW "$library" | awk '$1 == "TLS" {print $6}')
[ $((${tls:-0})) -le 64 ] || broken "$tls bytes of static TLS"
readelf -d "$library" | grep TEXTREL && broken "text relocations"
readelf -lW "$library" | awk '$1 == "GNU_STACK" && $7 ~ /E/ {bad = 1} END {exit bad}' || broken "executable stack"

# The hot path: no lock prefix and no xchg with memory, no system call, and short enough to read.
for name in malloc free realloc calloc; do
  code=$(objdump -d --no-show-raw-insn "$library" | awk -v name="<$name>:" '$2 == name {on = 1; next} /^$/ {on = 0} on')
  [ -n "$code" ] || broken "$name has no code"
  grep -E '\block\b|xchg .*\(|syscall' <<<"$code" | grep -v 'xchg   %ax,%ax' && broken "$name locks or calls the kernel"
  case "$name" in realloc) most=200 ;; *) most=70 ;; esac
  [ "$(wc -l <<<"$code")" -le "$most" ] || broken "$name has $(wc -l <<<"$code") lines of machine code"
done

# A call may come on a stack of a few kilobytes: a handler's, a fibre's. No function takes much of it.
measured=$(find "$(dirname "$library")/src/preload" -name '*.su' -exec cat {} +)
[ "$(wc -l <<<"$measured")" -gt 100 ] || broken "stack usage was not measured"
while IFS=$'\t' read -r function bytes _; do
  [ "$bytes" -le 640 ] || broken "$function takes $bytes bytes of stack"
done <<<"$measured"

[ "$broken" = 0 ] && echo "all promises kept"
exit "$broken"
