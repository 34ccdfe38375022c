// SPDX-License-Identifier: MIT
//
// The coarse monotonic clock, read without a system call and without libc (whose clock_gettime
// other preloads replace): the kernel's vDSO, found through the auxiliary vector. A few
// nanoseconds a call, a few milliseconds of resolution, which the timeline needs no finer.

#pragma once

#include <cstdint>

namespace heapster::preload {

// Finds the vDSO's function; false where the kernel offers none, and then coarse_time() is 0.
bool prepare_clock();

// Nanoseconds of CLOCK_MONOTONIC_COARSE.
uint64_t coarse_time();

// Nanoseconds since the epoch, by a system call.
uint64_t epoch_time();

}  // namespace heapster::preload
