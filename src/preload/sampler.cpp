// SPDX-License-Identifier: MIT
//
// A sampled block is followed by its pointer. Free takes its entry out before the next allocator frees the block, so
// that whoever gets the address next finds nothing of it. Realloc takes the entry out before, too, and puts it back
// under the old or the new pointer after, as the call came out.

#include "preload/sampler.h"

#include <elf.h>

#include "layout/bucket.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/free_list.h"
#include "preload/libc.h"
#include "preload/next.h"
#include "preload/notes.h"
#include "preload/own_stack.h"
#include "preload/poisson.h"
#include "preload/probes.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/sample_index.h"
#include "preload/stack_tables.h"
#include "preload/threads.h"
#include "preload/watches.h"

namespace heapster::preload {

namespace {

constinit uint64_t mean = 0;  // 0: off
constinit decltype(next.malloc.found) real_malloc = nullptr;
constinit decltype(next.free.found) real_free = nullptr;
constinit decltype(next.realloc.found) real_realloc = nullptr;

// Lifetimes are told in powers of four, so the processor's own counter will do, once it has been compared with the
// clock for long enough; reading it costs a third of asking the clock.
struct Counter {
  uint64_t first_cycles;
  uint64_t first_time;
  double nanoseconds_per_cycle;  // 0: not known yet
};
constinit Counter counter = {};

#if defined(__x86_64__)
uint64_t cycles() { return __builtin_ia32_rdtsc(); }
#else
uint64_t cycles() {
  uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
}
#endif

// Strict seccomp takes the processor's counter away, and the fine clock with it.
bool may_look_at_counter() { return !load(process.silent); }

uint64_t now() {
  constexpr uint64_t kLongEnough = 20'000'000;
  if (!may_look_at_counter()) return since_start(coarse_time());
  const double rate = counter.nanoseconds_per_cycle;
  const uint64_t passed = cycles() - counter.first_cycles;
  if (rate != 0) return since_start(counter.first_time + static_cast<uint64_t>(static_cast<double>(passed) * rate));
  const uint64_t time = fine_time();
  if (time - counter.first_time > kLongEnough && passed != 0)
    counter.nanoseconds_per_cycle = static_cast<double>(time - counter.first_time) / static_cast<double>(passed);
  return since_start(time);
}

// Timing a call asks the clock twice: where every call is sampled, one in 64 is timed.
bool to_be_timed(uint64_t random) { return may_look_at_counter() && (mean > 4096 || (random & 63) == 0); }

void count_latency(uint64_t (&histogram)[kLatencies], uint64_t& slowest, uint64_t nanoseconds) {
  uint64_t bucket = bucket_of(nanoseconds);
  bucket = bucket == 0 ? 0 : bucket - 1;
  Together::add(histogram[bucket < kLatencies ? bucket : kLatencies - 1], uint64_t{1});
  if (nanoseconds > load(slowest)) store(slowest, nanoseconds);
}

uint32_t lifetime_bucket(uint64_t nanoseconds) {
  uint32_t bucket = 0;
  for (uint64_t limit = 1000; bucket + 1 < kLifetimes && nanoseconds >= limit; limit *= 4) ++bucket;
  return bucket;
}

// The frames above our own, which are all in one object: this one.
struct Frames {
  uint64_t at[kMaxDepth];
  unsigned first;
  unsigned depth;
  bool truncated;
};

void take_frames(Frames& frames) {
  frames.first = 0;
  frames.depth = 1;
  frames.truncated = true;
  frames.at[0] = 0;  // of a stack that is not known
  unwind::Bounds bounds;
  const StackKind kind = find_own_stack(bounds);
  if (kind != StackKind::kOwn) {
    Sampling& told = stacks.sampling();
    Together::add(kind == StackKind::kSmall ? told.stack_small : told.stack_unknown, uint64_t{1});
    return;
  }
  const auto captured = unwind::capture(*stacks.rows(), place_of, bounds, frames.at, kMaxDepth);
  if (captured.depth == 0) return;
  const uint16_t own = unwind::module_of(frames.at[0]);
  unsigned first = 0;
  while (first + 1 < captured.depth && unwind::module_of(frames.at[first]) == own) ++first;
  frames.first = first;
  frames.depth = captured.depth - first;
  frames.truncated = !captured.complete;
}

HEAPSTER_COLD void add_alloc(const Sample& sample) {
  if (sample.stack == kNoStack) return;
  Stack& stack = stacks.stack(sample.stack);
  Together::add(stack.samples, uint64_t{1});
  Together::add(stack.alloc_count, sample.weight_count);
  Together::add(stack.alloc_bytes, sample.weight_bytes);
  tell_watches(sample.stack, {.alloc_count = sample.weight_count, .alloc_bytes = sample.weight_bytes});
}

void add_free(const Sample& sample, const void* block) {
  if (sample.stack == kNoStack) return;
  Stack& stack = stacks.stack(sample.stack);
  const uint64_t time = now();
  Together::add(stack.freed_samples, uint64_t{1});
  Together::add(stack.freed_count, sample.weight_count);
  Together::add(stack.freed_bytes, sample.weight_bytes);
  tell_watches(sample.stack, {.freed_count = sample.weight_count, .freed_bytes = sample.weight_bytes});
  __atomic_fetch_add(&stack.lifetimes[lifetime_bucket(time > sample.time ? time - sample.time : 0)], 1u,
                     __ATOMIC_RELAXED);
  const Shard* shard = own_shard();
  const bool elsewhere =
      shard == nullptr || thread_state.slot != sample.slot || home_shard().generation != sample.generation;
  if (elsewhere) {
    Together::add(stack.elsewhere_count, sample.weight_count);
  } else if (load(shard->last) == reinterpret_cast<uint64_t>(block)) {
    Together::add(stack.temporary_count, sample.weight_count);
  }
}

// Whether the tables are this process's own: a fork's child starts with its parent's.
bool in_own_process() { return load(gate.any) != 0; }

// Whether the block was sampled; its sample ends.
bool end_sample(void* block) {
  const uint32_t place = in_own_process() ? take_out_sample(block) : kNoPlace;
  if (place == kNoPlace) return false;
  tell_free(block);
  add_free(stacks.sample(place), block);
  stacks.give_sample(place);
  return true;
}

HEAPSTER_COLD void free_sampled(void* block) {
  const bool sampled = end_sample(block);
  if (!sampled || !to_be_timed(reinterpret_cast<uint64_t>(block) >> 4)) return real_free(block);
  const uint64_t before = fine_time();
  real_free(block);
  Sampling& told = stacks.sampling();
  count_latency(told.free_nanoseconds, told.free_slowest, fine_time() - before);
}

void followed_free(void* block) {
  if (HEAPSTER_UNLIKELY(may_be_sampled(block))) return free_sampled(block);
  return real_free(block);
}

// Adds what a reallocation changed: growth brings bytes and lowers the number of blocks that this one stands
// for; a shrunken block frees some of its bytes.
void reweigh(Sample& sample, uint64_t bytes) {
  const bool grown = bytes > sample.bytes;
  if (grown) sample.drawn += bytes - sample.bytes;
  const Weight weight = weigh(bytes, sample.drawn, mean);
  if (sample.stack != kNoStack) {
    Stack& stack = stacks.stack(sample.stack);
    Together::add(stack.alloc_count, weight.count - sample.weight_count);
    if (weight.bytes >= sample.weight_bytes) {
      Together::add(stack.alloc_bytes, weight.bytes - sample.weight_bytes);
      tell_watches(sample.stack, {.alloc_bytes = weight.bytes - sample.weight_bytes, .growth_count = grown ? 1u : 0u});
    } else {
      Together::add(stack.freed_bytes, sample.weight_bytes - weight.bytes);
      tell_watches(sample.stack, {.freed_bytes = sample.weight_bytes - weight.bytes});
    }
  }
  store(sample.bytes, bytes);
  store(sample.weight_bytes, weight.bytes);
  store(sample.weight_count, weight.count);
}

void follow(uint32_t place, void* block) {
  Sample& sample = stacks.sample(place);
  store(sample.pointer, reinterpret_cast<uint64_t>(block));
  if (enter_sample(block, place)) return tell_alloc(block, sample.bytes, sample.weight_bytes);
  Together::add(stacks.sampling().samples_dropped, uint64_t{1});
  add_free(stacks.sample(place), nullptr);
  stacks.give_sample(place);
}

HEAPSTER_COLD void* realloc_sampled(void* block, size_t size) {
  const uint32_t place = in_own_process() ? take_out_sample(block) : kNoPlace;
  if (place != kNoPlace) tell_free(block);  // and told anew, as it comes out
  void* now = real_realloc(block, size);
  if (place == kNoPlace) return now;
  if (now != nullptr) {
    reweigh(stacks.sample(place), usable_size(now));
    follow(place, now);
  } else if (size != 0) {
    follow(place, block);
  } else {
    add_free(stacks.sample(place), block);
    stacks.give_sample(place);
  }
  return now;
}

void* followed_realloc(void* block, size_t size) {
  if (HEAPSTER_UNLIKELY(may_be_sampled(block))) return realloc_sampled(block, size);
  return real_realloc(block, size);
}

// A limit may come to stand below us at this very moment; then it is what has to be in the table.
void leave_the_table() {
  auto* left_behind = load(real_malloc);
  for (;;) {
    __atomic_store_n(&next.malloc.found, left_behind, __ATOMIC_SEQ_CST);
    auto* real = __atomic_load_n(&real_malloc, __ATOMIC_SEQ_CST);
    if (real == left_behind) return;
    left_behind = real;
  }
}

// Stands in the table for one call, to time it.
void* timed_malloc(size_t size) {
  leave_the_table();
  if (!may_look_at_counter()) return real_malloc(size);
  const uint64_t before = fine_time();
  void* block = real_malloc(size);
  if (in_own_process()) {
    Sampling& told = stacks.sampling();
    count_latency(told.malloc_nanoseconds, told.malloc_slowest, fine_time() - before);
  }
  return block;
}

// The call after a sampled one.
void time_a_call(uint64_t random) {
  if (to_be_timed(random)) store(next.malloc.found, &timed_malloc);
}

void stand_in_the_table() {
  if (real_free != nullptr) return;
  real_malloc = next.malloc.found;
  real_realloc = next.realloc.found;
  real_free = next.free.found;
  store(next.realloc.found, &followed_realloc);
  store(next.free.found, &followed_free);
}

}  // namespace

void start_sampling() {
  if (config.stacks == 0) return;  // and touch nothing
  mean = 0;
  clear_index();
  if (!stacks.there() || !prepare_places() || !start_index()) {
    raise(Note::k_stacks_refused);
    return;
  }
  stacks.sampling().mean_bytes = config.stacks;
  mean = config.stacks;
  counter = {.first_cycles = cycles(), .first_time = fine_time(), .nanoseconds_per_cycle = 0};
  stand_in_the_table();
}

bool stand_below_sampling(Malloc& next_malloc, Malloc our_malloc, Realloc& next_realloc, Realloc our_realloc) {
  if (real_free == nullptr) return false;
  next_malloc = real_malloc;
  next_realloc = real_realloc;
  __atomic_store_n(&real_realloc, our_realloc, __ATOMIC_RELEASE);
  __atomic_store_n(&real_malloc, our_malloc, __ATOMIC_SEQ_CST);
  auto* in_table = next_malloc;  // unless a call is being timed, which puts ours there
  __atomic_compare_exchange_n(&next.malloc.found, &in_table, our_malloc, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
  return true;
}

// The kernel's random bytes differ from process to process, and the clock from child to child.
void seed_shard(Shard* shard, uint32_t index) {
  if (mean == 0 || shard->random != 0) return;
  uint64_t seed;
  memcpy(&seed, reinterpret_cast<const void*>(getauxval(AT_RANDOM)), sizeof seed);
  shard->random = seed ^ fine_time() * 0x9e3779b97f4a7c15 ^ uint64_t { process.pid } << 32 ^ index;
  shard->to_sample = draw_distance(shard->random, mean);
}

int64_t grant(Shard* shard, int64_t pace, bool& due) {
  due = false;
  if (mean == 0 || shard->role == static_cast<uint32_t>(Role::kShared)) return pace;
  shard->to_sample -= shard->granted - load(shard->countdown);
  due = shard->to_sample < 0;
  if (due) shard->to_sample = draw_distance(shard->random, mean);
  shard->granted = pace < shard->to_sample ? pace : shard->to_sample;
  return shard->granted;
}

void sample(Shard* shard, void* block) {
  if (may_be_sampled(block) && find_sample(block) != kNoPlace) return;  // it was sampled before it grew
  const uint32_t place = stacks.take_sample();
  if (place == kNoPlace) {
    Together::add(stacks.sampling().samples_dropped, uint64_t{1});
    return;
  }
  Frames frames;
  take_frames(frames);
  Sample& taken = stacks.sample(place);
  const uint64_t bytes = usable_size(block);
  const Weight weight = weigh(bytes, bytes, mean);
  taken.bytes = bytes;
  taken.drawn = bytes;
  taken.weight_bytes = weight.bytes;
  taken.weight_count = weight.count;
  taken.time = now();
  taken.slot = thread_state.slot;
  taken.generation = home_shard().generation;
  taken.stack = stacks.enter(frames.at + frames.first, frames.depth, frames.truncated, load(shard->scope));
  add_alloc(taken);
  follow(place, block);
  time_a_call(next_random(shard->random));
}

void forget_sample(void* block) {
  if (HEAPSTER_UNLIKELY(may_be_sampled(block))) end_sample(block);
}

void object_unloaded() {
  if (mean != 0 && in_own_process()) stacks.forget_rows();
}

bool is_sampling() { return mean != 0; }

void keep_stacks_at_peak() {
  if (mean != 0) stacks.keep_peak();
}

}  // namespace heapster::preload
