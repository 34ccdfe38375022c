// SPDX-License-Identifier: MIT
//
// The coarse monotonic clock, read without a system call and without libc (whose clock_gettime
// other preloads replace): the kernel's vDSO, found through the auxiliary vector. A few
// nanoseconds a call, a few milliseconds of resolution, which the timeline needs no finer.

#pragma once

#include <cstdint>

namespace heapster::preload {

// Nanoseconds of CLOCK_MONOTONIC_COARSE; 0 where the kernel offers no vDSO. Looked up at the first
// call, which a short program never makes.
uint64_t coarse_time();

// The same clock to the nanosecond, at five times the price. For what is rare.
uint64_t fine_time();

// Both by a system call, for the start and the end. A process is timed by the fine one: what lives for less than a tick
// has a duration, too.
uint64_t coarse_time_of_kernel();
uint64_t fine_time_of_kernel();

// Nanoseconds since the epoch, by a system call.
uint64_t epoch_time();

}  // namespace heapster::preload
