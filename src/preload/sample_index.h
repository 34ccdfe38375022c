// SPDX-License-Identifier: MIT
//
// Which blocks are sampled. Each free has to ask, so the first answer is one byte: a counting filter by a hash of
// the pointer, 32 KiB that say no to nearly everything. Behind it lies an index from the pointer to its place in
// the table of samples, in buckets of eight.
//
// A block's entry is made before its malloc returns and taken out before its free begins, so no two threads
// ever deal with one pointer at once; the index only has to bear others in the same bucket.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/attributes.h"
#include "preload/words.h"

namespace heapster::preload {

inline constexpr unsigned kFilterBits = 15;
HEAPSTER_LOCAL extern uint8_t sampled_filter[size_t{1} << kFilterBits];

// One multiplication and one shift: every free pays for them.
HEAPSTER_HOT uint32_t filter_place(const void* block) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(block)) * 0x9e3779b1u >> (32 - kFilterBits);
}
HEAPSTER_HOT bool is_in_filter(const void* block) { return glance(sampled_filter[filter_place(block)]) != 0; }

// False where there is no memory for the index. Without the filter where every block is sampled.
bool start_index(bool filtered);
bool may_be_sampled(const void* block);
// In a fork's child: the parent's samples are none of it.
void clear_index();

// False where the bucket is full.
bool enter_sample(const void* block, uint32_t place);
// The place of a block's sample; kNoPlace where it has none.
uint32_t find_sample(const void* block);
// The same, and takes the entry out.
uint32_t take_out_sample(const void* block);

}  // namespace heapster::preload
