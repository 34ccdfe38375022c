// SPDX-License-Identifier: MIT
//
// Which blocks are sampled. The first answer is a filter's (sample_filter.h), which says no to nearly everything.
// Behind it lies an index from the pointer to its place in the table of samples, in buckets of eight.
//
// A block's entry is made before its malloc returns and taken out before its free begins, so no two threads
// ever deal with one pointer at once; the index only has to bear others in the same bucket.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/sampling/sample_filter.h"

namespace heapster::preload {

// False where there is no memory for the index. Without the filter where every block is sampled.
bool start_index(bool filtered);
// In a fork's child: the parent's samples are none of it.
void clear_index();

// False where there is no room.
bool enter_sample(const void* block, uint32_t place);
// The place of a block's sample; kNoPlace where it has none.
uint32_t find_sample(const void* block);
// The same, and takes the entry out.
uint32_t take_out_sample(const void* block);

}  // namespace heapster::preload
