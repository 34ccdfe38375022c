// SPDX-License-Identifier: MIT
//
// Takes a sample of a block: who allocated it, and what it stands for.

#include "preload/sampling/sampler.h"

#include <elf.h>
#include <sys/auxv.h>

#include "preload/base/clock.h"
#include "preload/base/config.h"
#include "preload/base/free_list.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/poisson.h"
#include "preload/base/process_state.h"
#include "preload/base/quick_clock.h"
#include "preload/base/thread_state.h"
#include "preload/next/next.h"
#include "preload/sampling/followed.h"
#include "preload/sampling/latency.h"
#include "preload/sampling/modules.h"
#include "preload/sampling/own_stack.h"
#include "preload/sampling/sample_index.h"
#include "preload/sampling/stack_tables.h"
#include "preload/shard/own_shard.h"

namespace heapster::preload {

namespace {

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

uint64_t size_of(void* block) { return fast_shard() != nullptr ? usable_by_header(block) : usable_size(block); }

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
  follow_blocks();
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

void object_unloaded() {
  if (is_sampling() && in_own_process()) stacks.forget_rows();
}

void keep_stacks_at_peak() {
  if (is_sampling()) stacks.keep_peak();
}

}  // namespace heapster::preload
