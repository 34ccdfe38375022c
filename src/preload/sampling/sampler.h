// SPDX-License-Identifier: MIT
//
// Sampling, where HEAPSTER_STACKS asked for it. It costs the hot path nothing: a due sample is one more reason for
// the byte countdown to end, and frees and reallocations are watched by standing in the table of the next
// allocator's functions (followed.h), which the hot path calls anyway.

#pragma once

#include <cstddef>

#include "layout/segment.h"
#include "preload/sampling/attribution.h"
#include "preload/shard/step.h"

namespace heapster::preload {

// At the start, and in a fork's child, which begins anew. Where there are no tables, nothing is sampled.
void start_sampling();

// A thread takes over a shard: draws its first distance, unless somebody did before.
void seed_shard(Shard* shard, uint32_t index);

// At a step: samples the block that somebody just allocated or made grow if the bytes since the last step make a sample
// due. True where the step has nothing else to do.
bool step_to_sample(Shard* shard, void* block, const Caller& caller);
// The bytes until the next step, not more than `pace`.
int64_t grant(Shard* shard, int64_t pace);

// The cache of unwind rows is for objects that are loaded.
void object_unloaded();

// Copies what each stack holds now as what it held at the peak.
void keep_stacks_at_peak();

}  // namespace heapster::preload
