// SPDX-License-Identifier: MIT
//
// The compiler hints of the hot path, in one place.

#pragma once

#define HEAPSTER_HOT __attribute__((always_inline)) inline
#define HEAPSTER_COLD __attribute__((noinline))
// Where a call may leave the ways that need no aligned stack, as libc's malloc and free need none: what follows does.
// Some programs call with a stack that is off by 8.
#if defined(__x86_64__)
#define HEAPSTER_ALIGNS_STACK __attribute__((noinline, force_align_arg_pointer))
#else
#define HEAPSTER_ALIGNS_STACK __attribute__((noinline))
#endif
#define HEAPSTER_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define HEAPSTER_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
// What stands before this is done before what follows.
HEAPSTER_HOT void keep_order() { asm volatile("" ::: "memory"); }
// For large data that a start does not touch. The linker sorts by alignment, so that what has less lies together on a
// few pages, and each page that a starting process touches costs it a microsecond.
#define HEAPSTER_ASIDE alignas(64)
// For data that the hot path reads: declared hidden, it is reached without the GOT.
#define HEAPSTER_LOCAL __attribute__((visibility("hidden")))
