// SPDX-License-Identifier: MIT
//
// Nanoseconds for who asks at each sample and each sampled block's free. Lifetimes are told in powers of four, so the
// processor's own counter will do, compared with the clock ever anew; reading it costs a third of asking the clock.

#pragma once

#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/clock.h"
#include "preload/base/process_state.h"
#include "preload/base/words.h"

namespace heapster::preload {

struct CycleCounter {
  uint64_t first_cycles;
  uint64_t first_time;  // since the process started
  uint64_t rate;        // nanoseconds per cycle, times 2^32
  uint64_t good_until;  // in cycles after the first
};
HEAPSTER_LOCAL extern constinit CycleCounter cycle_counter;

void start_quick_clock();

// Asks the clock, and how fast the counter counts: nothing is known for the first 20 ms, and what is known then holds
// for an eighth longer than it took to learn.
HEAPSTER_COLD uint64_t compare_with_clock();

#if defined(__x86_64__)
inline uint64_t cycles() { return __builtin_ia32_rdtsc(); }
#else
inline uint64_t cycles() {
  uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
}
#endif

// Strict seccomp takes the processor's counter away, as a program may itself, and the fine clock with it.
inline bool may_look_at_counter() { return !load(process.silent) && !load(process.no_counter); }

// Since the process started.
HEAPSTER_HOT uint64_t quick_time() {
  if (!may_look_at_counter()) return since_start(coarse_time());
  const uint64_t passed = cycles() - cycle_counter.first_cycles;
  if (HEAPSTER_UNLIKELY(passed >= load(cycle_counter.good_until))) return compare_with_clock();
  __extension__ using Wide = unsigned __int128;
  return cycle_counter.first_time + static_cast<uint64_t>(Wide{passed} * load(cycle_counter.rate) >> 32);
}

}  // namespace heapster::preload
