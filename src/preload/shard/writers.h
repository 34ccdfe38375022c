// SPDX-License-Identifier: MIT
//
// The three ways of writing to a shard, which the counting templates take as their Writer.
//
// The hot one knows bucket_of() in one operation. `lzcnt` is one, where the processor has it (all since 2013);
// std::bit_width compiles to `bsr` on a baseline x86-64, which is eight on Zen, with a branch for 0. The hot path is
// only opened on processors that have it; function variants by IFUNC could run unrelocated.

#pragma once

#include <cstdint>

#include "layout/bucket.h"
#include "preload/base/attributes.h"
#include "preload/base/words.h"

namespace heapster::preload {

#if HEAPSTER_ONE_INSTRUCTION_ADD

HEAPSTER_HOT uint64_t leading_zeros(uint64_t value) {
  uint64_t zeros;
  asm("lzcnt %1, %0" : "=r"(zeros) : "r"(value) : "cc");
  return zeros;
}

// An older processor runs the same bytes as `bsr`, and answers otherwise.
inline bool has_quick_bucket() { return leading_zeros(1) == 63; }

HEAPSTER_HOT uint64_t quick_bucket_of(uint64_t size) { return 64 - leading_zeros(size); }

#else

inline bool has_quick_bucket() { return true; }
HEAPSTER_HOT uint64_t quick_bucket_of(uint64_t size) { return bucket_of(size); }

#endif

// How the hot path writes to its shard, and the two slow ways: alone on it, or together with others.
struct Hot : Alone {
  static uint64_t bucket(uint64_t size) { return quick_bucket_of(size); }
};
struct Slow : Alone {
  static uint64_t bucket(uint64_t size) { return bucket_of(size); }
};
struct Shared : Together {
  static uint64_t bucket(uint64_t size) { return bucket_of(size); }
};

}  // namespace heapster::preload
