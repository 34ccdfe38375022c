// SPDX-License-Identifier: MIT
//
// Sampled blocks are followed by their pointers, by standing in the table of the next allocator's functions.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/next/next.h"

namespace heapster::preload {

// What stands in the table below sampling: the next allocator's own, or a limit's.
struct BelowSampling {
  decltype(next.malloc.found) malloc;
  decltype(next.realloc.found) realloc;
};
HEAPSTER_LOCAL extern constinit BelowSampling below_sampling;

// Stands in the table from now on.
void follow_blocks();

// Puts functions between sampling and the next allocator's, which it tells; false where nothing stands there.
using Malloc = void* (*)(size_t);
using Realloc = void* (*)(void*, size_t);
bool stand_below_sampling(Malloc& next_malloc, Malloc our_malloc, Realloc& next_realloc, Realloc our_realloc);

// A sample's block is there, and is followed from now on; its sample is dropped where there is no room for it.
void follow(uint32_t place, void* block);

// A block is about to be freed by another way than free.
void forget_sample(void* block);

}  // namespace heapster::preload
