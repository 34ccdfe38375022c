// SPDX-License-Identifier: MIT
//
// Whether a block may be sampled. Each free asks, so the answer is one byte: a filter that counts the sampled blocks
// of every 64 bytes of addresses, modulo its size. Neighbours share a line of it, and few samples need few lines: a
// filter of 4 KiB takes nothing from the program's first cache, and a larger one takes over as samples get more.
//
// All sizes are kept at once, each at as many bytes as it is large, so that one word says which is asked: the change
// to a larger one is one store, and whoever still asks the smaller one is answered rightly, too.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/attributes.h"
#include "preload/gate.h"
#include "preload/words.h"

namespace heapster::preload {

inline constexpr uint64_t kFilterSizes[] = {4 * 1024, 32 * 1024, 256 * 1024};
inline constexpr uint64_t kFilterBytes = 2 * 256 * 1024;

// Gate::filter_mask is the size of the filter that is asked, less 1. With 0 one byte answers for all blocks: that is
// where nothing is sampled, or everything.
HEAPSTER_LOCAL extern uint8_t sampled_filter[kFilterBytes];

HEAPSTER_HOT uint64_t filter_place(const void* block, uint64_t mask) {
  return (reinterpret_cast<uintptr_t>(block) >> 6 & mask) + mask + 1;
}
HEAPSTER_HOT bool is_in_filter(const void* block) {
  return glance(sampled_filter[filter_place(block, glance(gate.filter_mask))]) != 0;
}

}  // namespace heapster::preload
