// SPDX-License-Identifier: MIT
//
// Whether a block may be sampled. Each free asks, so the answer is one byte: a filter that counts the sampled blocks
// of every 64 bytes of addresses, modulo its size, so that neighbours share a line of it. The one that each free asks
// is small and takes next to nothing from the program's first cache. Where hundreds of sampled blocks live at once it
// says maybe too often; a large one stands behind it.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/attributes.h"
#include "preload/gate.h"
#include "preload/words.h"

namespace heapster::preload {

template <size_t size>
struct Filter {
  uint8_t counts[size];

  HEAPSTER_HOT uint8_t& of(const void* block, uint64_t mask = size - 1) {
    return counts[reinterpret_cast<uintptr_t>(block) >> 6 & mask];
  }
};
using QuickFilter = Filter<4 * 1024>;
using LargeFilter = Filter<256 * 1024>;
HEAPSTER_LOCAL extern QuickFilter filter;
HEAPSTER_LOCAL extern LargeFilter large_filter;

// Gate::filter_mask is the filter's size less 1; or 0, and one byte answers for all blocks: that is where nothing is
// sampled, or everything.
HEAPSTER_HOT bool is_in_filter(const void* block) { return glance(filter.of(block, glance(gate.filter_mask))) != 0; }
inline bool is_in_large_filter(const void* block) { return load(large_filter.of(block)) != 0; }

}  // namespace heapster::preload
