// SPDX-License-Identifier: MIT

#include "preload/sampling/attribution.h"

#include "layout/bucket.h"
#include "preload/base/poisson.h"
#include "preload/base/quick_clock.h"
#include "preload/base/words.h"
#include "preload/sampling/stack_sums.h"
#include "preload/sampling/watches.h"
#include "preload/shard/own_shard.h"

namespace heapster::preload {

constinit uint64_t sampling_mean = 0;

namespace {

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

// Figures of a stack: its only writer adds as to its shard, many together.
template <typename Add>
void with_writer(const Stack& stack, Add add) {
  if (stack.writer == kAnyWriter) {
    add.template operator()<Together>();
  } else {
    add.template operator()<Alone>();
  }
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

}  // namespace

bool in_own_process() { return load(gate.any) != 0; }

ThreadSamples* own_part() { return own_shard() != nullptr ? stacks.of_thread(thread_state.slot) : nullptr; }

void add_alloc(Stack& stack, const Sample& sample) {
  with_writer(stack, [&]<typename Writer> { add_allocated<Writer>(stack, sample, sampling_mean); });
  tell_watches(sample.stack, {.alloc_count = sample.weight_count, .alloc_bytes = sample.weight_bytes});
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

void add_lost_mark(const Sample& sample) {
  if (Stack* stack = own_figures(sample.stack)) {
    with_writer(*stack, [&]<typename Writer> { add_lost<Writer>(*stack, sample); });
    tell_watches(sample.stack, {.freed_count = sample.weight_count, .freed_bytes = sample.weight_bytes});
  }
}

}  // namespace heapster::preload
