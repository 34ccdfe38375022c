// SPDX-License-Identifier: MIT
//
// The compiler hints of the hot path, in one place.

#pragma once

#define HEAPSTER_HOT __attribute__((always_inline)) inline
#define HEAPSTER_COLD __attribute__((noinline))
#define HEAPSTER_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HEAPSTER_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
// What stands before this is done before what follows.
HEAPSTER_HOT void keep_order() { asm volatile("" ::: "memory"); }
// For large data that a start does not touch. The linker sorts by alignment, so that what has less lies together on a
// few pages, and each page that a starting process touches costs it a microsecond.
#define HEAPSTER_ASIDE alignas(64)
// For data that the hot path reads: declared hidden, it is reached without the GOT.
#define HEAPSTER_LOCAL __attribute__((visibility("hidden")))
