// SPDX-License-Identifier: MIT
//
// Free takes a sampled block's entry out before the next allocator frees the block, so
// that whoever gets the address next finds nothing of it. Realloc takes the entry out before, too, and puts it back
// under the old or the new pointer after, as the call came out.

#include "preload/sampling/followed.h"

#include "preload/base/clock.h"
#include "preload/base/free_list.h"
#include "preload/base/poisson.h"
#include "preload/base/words.h"
#include "preload/sampling/attribution.h"
#include "preload/sampling/latency.h"
#include "preload/sampling/probes.h"
#include "preload/sampling/sample_index.h"
#include "preload/sampling/stack_tables.h"

namespace heapster::preload {

constinit BelowSampling below_sampling = {};

namespace {

constexpr uint64_t kNever = ~uint64_t{0};

void give_place(uint32_t place) {
  const HeldSamples own(own_part(), false);
  stacks.give_sample(place, own);
}

// Counts a sampled block as freed, and gives its place back.
void drop_sample(uint32_t place, const void* block) {
  add_free(stacks.sample(place), block);
  give_place(place);
}

// When the block was sampled, if it was; its sample ends.
HEAPSTER_ALIGNS_STACK uint64_t end_sample(void* block) {
  const uint32_t place = in_own_process() ? take_out_sample(block) : kNoPlace;
  if (place == kNoPlace) return kNever;
  const uint64_t since = stacks.sample(place).time;
  tell_free(block);
  drop_sample(place, block);
  return since;
}

HEAPSTER_ALIGNS_STACK void free_sampled(void* block) {
  // By when it was allocated: by its address, a block that comes again and again would be timed each time or never.
  const uint64_t since = end_sample(block);
  if (since == kNever || !to_be_timed(since)) return next.plain_free(block);
  const uint64_t before = fine_time();
  next.plain_free(block);
  count_free_latency(before);
}

void followed_free(void* block) {
  if (HEAPSTER_LIKELY(!may_be_sampled(block))) return next.plain_free(block);
  return free_sampled(block);
}

void came_out(uint32_t place, void* now) {
  const uint64_t bytes = usable_size(now);
  Sample& sample = stacks.sample(place);
  if (!keeps_mark(bytes, sample.mark, sampling_mean)) {
    add_lost_mark(sample);
    return give_place(place);
  }
  reweigh(sample, bytes);
  follow(place, now);
}

HEAPSTER_ALIGNS_STACK void* realloc_sampled(void* block, size_t size) {
  const uint32_t place = in_own_process() ? take_out_sample(block) : kNoPlace;
  if (place != kNoPlace) tell_free(block);  // and told anew, as it comes out
  void* now = below_sampling.realloc(block, size);
  if (place == kNoPlace) return now;
  if (now != nullptr) {
    came_out(place, now);
  } else if (size != 0) {
    follow(place, block);
  } else {
    drop_sample(place, block);
  }
  return now;
}

void* followed_realloc(void* block, size_t size) {
  if (HEAPSTER_UNLIKELY(is_in_filter(block) && may_be_sampled(block))) return realloc_sampled(block, size);
  return below_sampling.realloc(block, size);
}

}  // namespace

void follow(uint32_t place, void* block) {
  Sample& sample = stacks.sample(place);
  store(sample.pointer, reinterpret_cast<uint64_t>(block));
  if (enter_sample(block, place)) return tell_alloc(block, sample.bytes, sample.weight_bytes);
  Together::add(stacks.sampling().samples_dropped, uint64_t{1});
  drop_sample(place, nullptr);
}

void follow_blocks() {
  if (below_sampling.realloc != nullptr) return;
  below_sampling = {next.malloc.found, next.realloc.found};
  store(next.realloc.found, sampling_mean > 1 ? &followed_realloc : &realloc_sampled);
  store(next.free.found, sampling_mean > 1 ? &followed_free : &free_sampled);
}

bool stand_below_sampling(Malloc& next_malloc, Malloc our_malloc, Realloc& next_realloc, Realloc our_realloc) {
  if (below_sampling.realloc == nullptr) return false;
  next_malloc = below_sampling.malloc;
  next_realloc = below_sampling.realloc;
  __atomic_store_n(&below_sampling.realloc, our_realloc, __ATOMIC_RELEASE);
  __atomic_store_n(&below_sampling.malloc, our_malloc, __ATOMIC_SEQ_CST);
  auto* in_table = next_malloc;  // unless a call is being timed, which puts ours there
  __atomic_compare_exchange_n(&next.malloc.found, &in_table, our_malloc, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
  return true;
}

void forget_sample(void* block) {
  if (HEAPSTER_UNLIKELY(is_in_filter(block))) end_sample(block);
}

}  // namespace heapster::preload
