// SPDX-License-Identifier: MIT
//
// bucket_of() in two operations and no branch, on any x86-64. `lzcnt` is one quick operation
// where the processor has it, and the same bytes run as `bsr` where it does not; the two answers
// differ by xor 63, so one word, found out at start-up, serves both. (`bsr` everywhere costs a
// nanosecond per malloc+free pair on Zen; function variants by IFUNC could run unrelocated.)

#pragma once

#include <cstdint>

#include "layout/bucket.h"
#include "preload/attributes.h"
#include "preload/words.h"

namespace heapster::preload {

#if HEAPSTER_ONE_INSTRUCTION_ADD

HEAPSTER_LOCAL extern uint64_t bit_scan_fix;

HEAPSTER_HOT uint64_t bit_scan(uint64_t value) {
  uint64_t answer;
  asm("lzcnt %1, %0" : "=r"(answer) : "r"(value) : "cc");
  return answer;
}

// Before any shard is written.
inline void prepare_bit_scan() { bit_scan_fix = bit_scan(1) == 63 ? 63 : 0; }

// 2·size + 1 is never 0, and its highest bit is the bucket.
HEAPSTER_HOT uint64_t quick_bucket_of(uint64_t size) { return bit_scan(size * 2 + 1) ^ bit_scan_fix; }

#else

inline void prepare_bit_scan() {}
HEAPSTER_HOT uint64_t quick_bucket_of(uint64_t size) { return bucket_of(size); }

#endif

}  // namespace heapster::preload
