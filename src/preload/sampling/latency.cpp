// SPDX-License-Identifier: MIT

#include "preload/sampling/latency.h"

#include "layout/bucket.h"
#include "preload/base/clock.h"
#include "preload/base/quick_clock.h"
#include "preload/base/words.h"
#include "preload/next/next.h"
#include "preload/sampling/attribution.h"
#include "preload/sampling/followed.h"
#include "preload/sampling/stack_tables.h"

namespace heapster::preload {

namespace {

void count_latency(uint64_t (&histogram)[kLatencies], uint64_t& slowest, uint64_t nanoseconds) {
  uint64_t bucket = bucket_of(nanoseconds);
  bucket = bucket == 0 ? 0 : bucket - 1;
  Together::add(histogram[bucket < kLatencies ? bucket : kLatencies - 1], uint64_t{1});
  Together::raise(slowest, nanoseconds);
}

// A limit may come to stand below us at this very moment; then it is what has to be in the table.
void leave_the_table() {
  auto* left_behind = load(below_sampling.malloc);
  for (;;) {
    __atomic_store_n(&next.malloc.found, left_behind, __ATOMIC_SEQ_CST);
    auto* real = __atomic_load_n(&below_sampling.malloc, __ATOMIC_SEQ_CST);
    if (real == left_behind) return;
    left_behind = real;
  }
}

// Stands in the table for one call, to time it.
HEAPSTER_ALIGNS_STACK void* timed_malloc(size_t size) {
  leave_the_table();
  if (!may_look_at_counter()) return below_sampling.malloc(size);
  const uint64_t before = fine_time();
  void* block = below_sampling.malloc(size);
  if (in_own_process()) {
    Sampling& told = stacks.sampling();
    count_latency(told.malloc_nanoseconds, told.malloc_slowest, fine_time() - before);
  }
  return block;
}

}  // namespace

// Timing a call asks the clock twice: where every call is sampled, one in 256 is timed.
bool to_be_timed(uint64_t any) {
  return (sampling_mean > 4096 || any * 0x9e3779b97f4a7c15 >> 56 == 0) && may_look_at_counter();
}

void count_free_latency(uint64_t since) {
  Sampling& told = stacks.sampling();
  count_latency(told.free_nanoseconds, told.free_slowest, fine_time() - since);
}

void time_a_call(uint64_t any) {
  if (to_be_timed(any)) store(next.malloc.found, &timed_malloc);
}

}  // namespace heapster::preload
