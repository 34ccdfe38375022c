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
#include "preload/publish.h"
#include "preload/quick_clock.h"
#include "preload/recorder.h"
#include "preload/sample_index.h"
#include "preload/stack_sums.h"
#include "preload/stack_tables.h"
#include "preload/threads.h"
#include "preload/watches.h"

namespace heapster::preload {

constinit uint64_t sampling_mean = 0;

namespace {

constinit decltype(next.malloc.found) real_malloc = nullptr;
constinit decltype(next.realloc.found) real_realloc = nullptr;

constexpr uint64_t kNever = ~uint64_t{0};

// Timing a call asks the clock twice: where every call is sampled, one in 256 is timed.
bool to_be_timed(uint64_t any) {
  return (sampling_mean > 4096 || any * 0x9e3779b97f4a7c15 >> 56 == 0) && may_look_at_counter();
}

void count_latency(uint64_t (&histogram)[kLatencies], uint64_t& slowest, uint64_t nanoseconds) {
  uint64_t bucket = bucket_of(nanoseconds);
  bucket = bucket == 0 ? 0 : bucket - 1;
  Together::add(histogram[bucket < kLatencies ? bucket : kLatencies - 1], uint64_t{1});
  Together::raise(slowest, nanoseconds);
}

uint32_t lifetime_bucket(uint64_t nanoseconds) {
  const uint64_t bucket = (bucket_of(nanoseconds / 1000) + 1) / 2;
  return bucket < kLifetimes ? static_cast<uint32_t>(bucket) : kLifetimes - 1;
}

// How many blocks of a stack the lifetime of this one stands for, when so many were freed before: reading the clock
// costs as much as the rest of a free, so that it is read for the first ones, and then for one in eight, in steps that
// no pattern of the program follows.
uint32_t lifetimes_told(uint64_t freed_before) {
  constexpr uint64_t kAllTold = 1024;
  constexpr int kOneIn = 3;  // a power of two
  if (freed_before < kAllTold) return 1;
  return freed_before * 0x9e3779b97f4a7c15 >> (64 - kOneIn) == 0 ? 1 << kOneIn : 0;
}

// The number of this object among the modules: the innermost frames may be its own.
uint16_t own_module() {
  static constinit uint16_t number = 0;
  static constinit uint32_t pid = 0;  // a fork's child numbers anew
  if (load(pid) != process.pid) {
    store(number, place_of(reinterpret_cast<uintptr_t>(&own_module)).module);
    store(pid, process.pid);
  }
  return load(number);
}

uint32_t enter(const unwind::Capture& captured, uint32_t scope, uint32_t writer) {
  unsigned first = 0;
  while (first + 1 < captured.depth && unwind::module_of(captured.frames[first]) == own_module()) ++first;
  return stacks.enter(captured.frames + first, captured.depth - first, !captured.complete, scope, writer);
}

uint32_t unknown_stack(StackKind kind, uint32_t scope, uint32_t writer) {
  Sampling& told = stacks.sampling();
  Together::add(kind == StackKind::kSmall ? told.stack_small : told.stack_unknown, uint64_t{1});
  constexpr uint64_t kNoFrame = 0;
  return stacks.enter(&kNoFrame, 1, true, scope, writer);
}

// The stack of whoever has these registers, which is often the one that the thread had last.
uint32_t take_stack(const unwind::Registers& from, StackKind kind, const unwind::Bounds& bounds, uint32_t scope,
                    const HeldSamples& own) {
  const uint32_t writer = thread_state.slot + 1;
  if (kind != StackKind::kOwn) return unknown_stack(kind, scope, writer);
  if (!own) {
    static constinit uint32_t lock = 0;
    const TryLock spare(lock);
    if (!spare) return unknown_stack(StackKind::kUnknown, scope, writer);
    return enter(unwind::capture(stacks.rows(), place_of, bounds, from, stacks.spare_trail()), scope, writer);
  }
  const auto captured = unwind::capture(stacks.rows(), place_of, bounds, from, own->trail);
  if (!captured.again || own->scope != scope || own->stack == kNoStack) {
    own->stack = enter(captured, scope, writer);
    own->scope = scope;
  }
  return own->stack;
}

// Figures of a stack: its only writer adds as to its shard, many together.
template <typename Add>
void with_writer(const Stack& stack, Add add) {
  if (stack.writer == kAnyWriter) {
    add.template operator()<Together>();
  } else {
    add.template operator()<Alone>();
  }
}

void add_alloc(Stack& stack, const Sample& sample) {
  with_writer(stack, [&]<typename Writer> { add_allocated<Writer>(stack, sample, sampling_mean); });
  tell_watches(sample.stack, {.alloc_count = sample.weight_count, .alloc_bytes = sample.weight_bytes});
}

// The stack's figures that this thread may write to.
Stack* own_figures(uint32_t place) {
  if (place == kNoStack) return nullptr;
  Stack* stack = &stacks.stack(place);
  const uint32_t writer = own_shard() != nullptr ? thread_state.slot + 1 : kAnyWriter;
  if (HEAPSTER_LIKELY(stack->writer == writer || stack->writer == kAnyWriter)) return stack;
  const uint32_t own = stacks.enter_again(*stack, writer);
  return own == kNoStack ? nullptr : &stacks.stack(own);
}

void add_free(const Sample& sample, const void* block) {
  Stack* stack = own_figures(sample.stack);
  if (stack == nullptr) return;
  const uint32_t told = lifetimes_told(load(stack->freed_samples));
  const uint64_t time = told != 0 ? quick_time() : 0;
  const uint32_t lifetime = lifetime_bucket(time > sample.time ? time - sample.time : 0);
  tell_watches(sample.stack, {.freed_count = sample.weight_count, .freed_bytes = sample.weight_bytes});
  const Shard* shard = own_shard();
  const bool elsewhere =
      shard == nullptr || thread_state.slot != sample.slot || home_shard().generation != sample.generation;
  const bool temporary = !elsewhere && load(shard->last) == reinterpret_cast<uint64_t>(block);
  with_writer(*stack, [&]<typename Writer> {
    add_freed<Writer>(*stack, sample, sampling_mean);
    if (told != 0) Writer::add(stack->lifetimes[lifetime], told);
    if (elsewhere) Writer::add(stack->elsewhere_count, sample.weight_count);
    if (temporary) add_temporary<Writer>(*stack, sample, sampling_mean);
  });
}

// Whether the tables are this process's own: a fork's child starts with its parent's.
bool in_own_process() { return load(gate.any) != 0; }

ThreadSamples* own_part() { return own_shard() != nullptr ? stacks.of_thread(thread_state.slot) : nullptr; }

uint64_t size_of(void* block) { return fast_shard() != nullptr ? usable_by_header(block) : usable_size(block); }

// Counts a sampled block as freed, and gives its place back.
void drop_sample(uint32_t place, const void* block) {
  add_free(stacks.sample(place), block);
  const HeldSamples own(own_part(), false);
  stacks.give_sample(place, own);
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
  Sampling& told = stacks.sampling();
  count_latency(told.free_nanoseconds, told.free_slowest, fine_time() - before);
}

void followed_free(void* block) {
  if (HEAPSTER_LIKELY(!may_be_sampled(block))) return next.plain_free(block);
  return free_sampled(block);
}

void reweigh(Sample& sample, uint64_t bytes) {
  const Weight weight = weigh(bytes, sampling_mean);
  if (Stack* stack = own_figures(sample.stack)) {
    with_writer(*stack, [&]<typename Writer> { add_resized<Writer>(*stack, sample, bytes, weight, sampling_mean); });
    tell_watches(sample.stack,
                 weight.bytes >= sample.weight_bytes
                     ? Done{.alloc_bytes = weight.bytes - sample.weight_bytes, .growth_count = bytes > sample.bytes}
                     : Done{.freed_bytes = sample.weight_bytes - weight.bytes});
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
  drop_sample(place, nullptr);
}

void lose_mark(uint32_t place) {
  const Sample& sample = stacks.sample(place);
  if (Stack* stack = own_figures(sample.stack)) {
    with_writer(*stack, [&]<typename Writer> { add_lost<Writer>(*stack, sample); });
    tell_watches(sample.stack, {.freed_count = sample.weight_count, .freed_bytes = sample.weight_bytes});
  }
  const HeldSamples own(own_part(), false);
  stacks.give_sample(place, own);
}

void came_out(uint32_t place, void* now) {
  const uint64_t bytes = usable_size(now);
  Sample& sample = stacks.sample(place);
  if (!keeps_mark(bytes, sample.mark, sampling_mean)) return lose_mark(place);
  reweigh(sample, bytes);
  follow(place, now);
}

HEAPSTER_ALIGNS_STACK void* realloc_sampled(void* block, size_t size) {
  const uint32_t place = in_own_process() ? take_out_sample(block) : kNoPlace;
  if (place != kNoPlace) tell_free(block);  // and told anew, as it comes out
  void* now = real_realloc(block, size);
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
HEAPSTER_ALIGNS_STACK void* timed_malloc(size_t size) {
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
void time_a_call(uint64_t any) {
  if (to_be_timed(any)) store(next.malloc.found, &timed_malloc);
}

void sample(Shard* shard, void* block, const Caller& caller, uint64_t time, int64_t below_zero) {
  if (caller.grown && is_in_filter(block) && find_sample(block) != kNoPlace) return;  // it was sampled before
  unwind::Bounds bounds;
  const StackKind kind = find_own_stack(bounds);
  const HeldSamples own(own_part(), kind == StackKind::kOwn);
  const uint32_t place = stacks.take_sample(own);
  if (place == kNoPlace) {
    Together::add(stacks.sampling().samples_dropped, uint64_t{1});
    return;
  }
  Sample& taken = stacks.sample(place);
  const uint64_t bytes = size_of(block);
  const Weight weight = weigh(bytes, sampling_mean);
  taken.bytes = bytes;
  taken.mark = first_mark(bytes, below_zero);
  taken.weight_bytes = weight.bytes;
  taken.weight_count = weight.count;
  taken.time = time;
  taken.slot = thread_state.slot;
  taken.generation = home_shard().generation;
  taken.stack = take_stack(caller.registers, kind, bounds, load(shard->scope), own);
  if (taken.stack != kNoStack) add_alloc(stacks.stack(taken.stack), taken);
  follow(place, block);
  time_a_call(time);
}

void stand_in_the_table() {
  if (real_realloc != nullptr) return;
  real_malloc = next.malloc.found;
  real_realloc = next.realloc.found;
  store(next.realloc.found, sampling_mean > 1 ? &followed_realloc : &realloc_sampled);
  store(next.free.found, sampling_mean > 1 ? &followed_free : &free_sampled);
}

}  // namespace

void start_sampling() {
  if (config.stacks == 0) return;  // and touch nothing
  sampling_mean = 0;
  clear_index();
  if (!stacks.there() || !prepare_places() || !start_index(config.stacks > 1)) {
    raise(Note::k_stacks_refused);
    return;
  }
  stacks.sampling().mean_bytes = config.stacks;
  sampling_mean = config.stacks;
  start_quick_clock();
  stand_in_the_table();
}

bool stand_below_sampling(Malloc& next_malloc, Malloc our_malloc, Realloc& next_realloc, Realloc our_realloc) {
  if (real_realloc == nullptr) return false;
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
  if (!is_sampling()) return;
  if (stacks.there()) stacks.prepare_part(index);
  if (shard->random != 0) return;
  uint64_t seed;
  memcpy(&seed, reinterpret_cast<const void*>(getauxval(AT_RANDOM)), sizeof seed);
  const uint64_t time = may_look_at_counter() ? fine_time() : coarse_time();
  shard->random = seed ^ time * 0x9e3779b97f4a7c15 ^ uint64_t { process.pid } << 32 ^ index;
  shard->to_sample = draw_distance(shard->random, sampling_mean);
}

int64_t grant(Shard* shard, int64_t pace) {
  if (!is_sampling() || shard->role == static_cast<uint32_t>(Role::kShared)) return pace;
  shard->granted = pace < shard->to_sample ? pace : shard->to_sample;
  return shard->granted;
}

bool step_to_sample(Shard* shard, void* block, const Caller& caller) {
  if (shard->role == static_cast<uint32_t>(Role::kShared)) return false;
  shard->to_sample -= shard->granted - load(shard->countdown);
  shard->granted = load(shard->countdown);
  if (shard->to_sample >= 0) return false;
  const int64_t below_zero = -shard->to_sample;
  shard->to_sample = draw_distance(shard->random, sampling_mean);
  const uint64_t pace = load(shard->pace);
  store(shard->countdown, grant(shard, static_cast<int64_t>(pace != 0 ? pace : kQuickestPace)));
  const uint64_t time = quick_time();
  if (block != nullptr) sample(shard, block, caller, time, below_zero);
  ThreadSamples* part = own_part();
  if (part == nullptr || time >= load(part->stepped) + kTick || has_strayed(shard)) {
    if (part != nullptr) store(part->stepped, time);
    return false;
  }
  return true;
}

void forget_sample(void* block) {
  if (HEAPSTER_UNLIKELY(is_in_filter(block))) end_sample(block);
}

void object_unloaded() {
  if (is_sampling() && in_own_process()) stacks.forget_rows();
}

void keep_stacks_at_peak() {
  if (is_sampling()) stacks.keep_peak();
}

}  // namespace heapster::preload
