// SPDX-License-Identifier: MIT
//
// Whether a block may be sampled. Each free asks, so the answer is one byte for every 64 bytes of addresses, modulo the
// filter's size, so that neighbours share a line of it. The one that each free asks is small and takes next to nothing
// from the program's first cache: a byte of it is 0 where no block is sampled. Where hundreds of sampled blocks live at
// once it says maybe too often; a large one stands behind it, and counts them.
//
// The large one is seldom in a cache. So the small one's byte tells one sampled block from others that share it: it is
// the block's mark, made of the address's next bits, and only of several blocks it is their number.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/words.h"
#include "preload/shard/gate.h"

namespace heapster::preload {

template <size_t size>
struct Filter {
  uint8_t bytes[size];

  HEAPSTER_HOT uint8_t& of(const void* block, uint64_t mask = size - 1) {
    return bytes[reinterpret_cast<uintptr_t>(block) >> 6 & mask];
  }
};
using QuickFilter = Filter<4 * 1024>;
using LargeFilter = Filter<256 * 1024>;
HEAPSTER_LOCAL extern QuickFilter filter;
HEAPSTER_LOCAL extern LargeFilter large_filter;

// Gate::filter_mask is the filter's size less 1; or 0, and one byte answers for all blocks: that is where nothing is
// sampled, or everything.
HEAPSTER_HOT bool is_in_filter(const void* block) { return glance(filter.of(block, glance(gate.filter_mask))) != 0; }

inline constexpr uint8_t kSeveral = 128;     // and how many; below it, a mark
inline constexpr uint8_t kFull = UINT8_MAX;  // as many or more: for good

inline uint8_t mark_of(const void* block) {
  return static_cast<uint8_t>(1 + (reinterpret_cast<uintptr_t>(block) >> 18) % (kSeveral - 1));
}

// Of a block that is in the filter, where not each one is sampled.
inline bool may_be_sampled(const void* block) {
  const uint8_t byte = load(filter.of(block));
  return (byte >= kSeveral || byte == mark_of(block)) && load(large_filter.of(block)) != 0;
}

}  // namespace heapster::preload
