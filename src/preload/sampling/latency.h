// SPDX-License-Identifier: MIT
//
// How long the next allocator's calls take: of some sampled blocks the call after the sample, and the free.

#pragma once

#include <cstddef>
#include <cstdint>

namespace heapster::preload {

// Whether a call is to be timed; `any` is a figure that no pattern of the program follows.
bool to_be_timed(uint64_t any);

// Adds to the latencies of free, since a moment on the fine clock.
void count_free_latency(uint64_t since);

// Times the next call of malloc, if that is due.
void time_a_call(uint64_t any);

}  // namespace heapster::preload
