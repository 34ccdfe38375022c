// SPDX-License-Identifier: MIT
//
// Free shards form a stack (free_list.h). No lock is ever held, so a fork or a signal can come at any moment.

#include "preload/count/threads.h"

#include <sys/prctl.h>

#include "preload/base/clock.h"
#include "preload/base/free_list.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/proc.h"
#include "preload/base/process_state.h"
#include "preload/base/text.h"
#include "preload/base/thread_state.h"
#include "preload/count/publish.h"
#include "preload/sampling/sampler.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/own_shard.h"

namespace heapster::preload {

namespace {

constexpr uint32_t kNone = kNoPlace;
constexpr uint32_t kSharedShards = 4;

constinit unsigned end_key = kNone;
HEAPSTER_ASIDE constinit uint32_t free_after[kMaxSlots] = {};  // index + 1 of the free slot below, by slot
constinit FreeList free_slots;
HEAPSTER_ASIDE constinit FreeList scope_slots[kMaxScopes];  // a scope's slots stay its own
constinit Shard* shared_shards[kSharedShards] = {};

Shard early;  // in use until the segment is there, and where no slot can be had
constinit bool early_used = false;

Published& published() { return segment.header()->published; }

uint32_t& link_of(uint32_t index) { return free_after[index]; }

// A slot that nobody used before, below `limit`; `used` only ever counts slots that can be touched.
uint32_t take_fresh(uint32_t limit) {
  uint64_t& used = slots_section().used;
  uint64_t index = load(used);
  do {
    if (index >= limit || !segment.ensure(static_cast<uint32_t>(index))) return kNone;
  } while (!__atomic_compare_exchange_n(&used, &index, index + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  return static_cast<uint32_t>(index);
}

// The copy that later tells what the new owner did alone.
bool hand_over(Slot* slot) {
  if (!segment.ensure_before(slot)) return false;
  copy_words(&slot->before, &slot->now, sizeof slot->now);
  return true;
}

void take_name(Shard& shard) { kernel::call(__NR_prctl, PR_GET_NAME, kernel::as_long(shard.name)); }

// A thread takes a shard over, for itself or for one of its scopes.
void own(Shard& shard, uint32_t index) {
  shard.place = index;
  shard.started = since_start(coarse_time_of_kernel());  // a start does not look for the quick one
  take_name(shard);
  store(shard.generation, shard.generation + 1);
  store(shard.tid, kernel::tid());
  seed_shard(&shard, index);
  begin_publishing(&shard);
  __atomic_fetch_add(&published().slots_owned, 1u, __ATOMIC_RELAXED);
}

// A free slot out of a list, or a fresh one, made the calling thread's; null where there is none.
Shard* take_over(FreeList& list) {
  uint32_t index = list.pop(link_of);
  if (index == kNone) {
    index = take_fresh(kMaxSlots - kSharedShards);
    if (index == kNone) return nullptr;
  } else if (!hand_over(segment.slot(index))) {
    list.push(index, link_of);
    return nullptr;
  }
  Shard* shard = &segment.slot(index)->now;
  own(*shard, index);
  return shard;
}

// Finds a shard for the calling thread.
Shard* claim() {
  Shard* shard = take_over(free_slots);
  if (shard == nullptr) return nullptr;
  if (shard->place != 0) leave_solo();
  thread_state.slot = shard->place;
  return shard;
}

void give_back(Shard* shard, FreeList& list) {
  publish_all(shard);
  store(shard->tid, 0u);
  __atomic_fetch_sub(&published().slots_owned, 1u, __ATOMIC_RELAXED);
  list.push(shard->place, link_of);
}

// Threads that have ended make few calls and share one; those for which no slot was left, several.
Shard*& shared_place(Note why) {
  if (why == Note::k_late_calls) return shared_shards[0];
  return shared_shards[(reinterpret_cast<uintptr_t>(&thread_state) >> 12) % kSharedShards];
}

// One that others share already, where no slot is left for one more.
Target any_shared_target() {
  for (Shard* const& place : shared_shards) {
    if (Shard* shard = __atomic_load_n(&place, __ATOMIC_ACQUIRE)) return {shard, true};
  }
  return early_target();
}

Target shared_target(Note why) {
  raise(why);
  Shard*& place = shared_place(why);
  Shard* shard = load(place);
  if (shard != nullptr) return {shard, true};
  if (load(process.silent)) return any_shared_target();
  const uint32_t index = take_fresh(kMaxSlots);
  if (index == kNone) return any_shared_target();
  if (index != 0) leave_solo();
  Shard* fresh = &segment.slot(index)->now;
  fresh->place = index;
  begin_publishing(fresh);
  store(fresh->role, static_cast<uint32_t>(Role::kShared));
  store(fresh->generation, 1u);
  // Lost to another thread, the slot stays empty: at most three are.
  if (!__atomic_compare_exchange_n(&place, &shard, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return {shard, true};
  return {fresh, true};
}

// The destructor of the thread's key: gives the shard back. What the thread frees after this goes
// to a shared shard.
void end_thread(void*) {
  const bool owning = own_shard() != nullptr;
  thread_state.shard = nullptr;
  thread_state.stage = kEnded;
  if (!owning) return;
  Shard& home = home_shard();
  for (uint32_t scope = 1; scope < kMaxScopes; ++scope) {
    const uint32_t slot = home.scope_slots[scope];
    if (slot == 0) continue;
    store(home.scope_slots[scope], uint16_t{0});
    give_back(&segment.slot(slot - 1)->now, scope_slots[scope]);
  }
  give_back(&home, free_slots);
}

// The key by which a thread's end is heard of; the first thread's end is the program's, or changes nothing. The
// program's keys are to have the numbers that they have without us, which it may never have asked for: ours is the last
// of those whose values libc keeps in the thread itself, if that is free. To reach it, the free ones below are taken
// for a moment.
void make_end_key() {
  if (pthread_key_create == nullptr) return;
  constexpr unsigned kLast = 31;
  unsigned keys[kLast + 1];
  unsigned count = 0;
  while (count <= kLast && pthread_key_create(&keys[count], end_thread) == 0 && keys[count++] < kLast) {
  }
  if (count == 0) return;
  const unsigned chosen = count > 1 && keys[count - 1] > kLast ? count - 2 : count - 1;
  unsigned none = kNone;
  const bool first =
      __atomic_compare_exchange_n(&end_key, &none, keys[chosen], false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  for (unsigned i = 0; i < count; ++i) {
    if (i != chosen || !first) pthread_key_delete(keys[i]);
  }
}

// Moves counts from a shard that others may still add to.
template <typename Words>
void move_words(Words& from, Words& to) {
  auto* source = reinterpret_cast<uint64_t*>(&from);
  auto* target = reinterpret_cast<uint64_t*>(&to);
  for (size_t i = 0; i * sizeof *source < sizeof(Words); ++i) {
    const uint64_t some = __atomic_exchange_n(&source[i], uint64_t{0}, __ATOMIC_RELAXED);
    if (some != 0) Alone::add(target[i], some);
  }
}

}  // namespace

Target early_target() {
  if (!load(early_used)) {
    store(early.countdown, INT64_MAX);  // it never makes a step
    store(early.floor, INT64_MIN);
    store(early.look_at, INT64_MAX);
    store(early_used, true);
  }
  return {&early, true};
}

namespace {

Target claim_target() {
  switch (thread_state.stage) {
    case kFresh:
      break;
    case kEnded:
      return shared_target(Note::k_late_calls);
    case kSharing:
      return shared_target(Note::k_shards_shared);
    default:
      return early_target();
  }
  if (load(process.silent)) return shared_target(Note::k_silent);
  thread_state.stage = kClaiming;
  Shard* shard = claim();
  if (shard == nullptr) {
    thread_state.stage = kSharing;
    return shared_target(Note::k_shards_shared);
  }
  thread_state.shard = shard;
  thread_state.stage = kOwning;
  const KeepErrno keep;
  if (shard->place != 0 && load(end_key) == kNone) make_end_key();
  if (load(end_key) != kNone) pthread_setspecific(end_key, &thread_state);
  return {shard, false};
}

using Begin = void (*)();
constinit Begin begin_child = nullptr;

}  // namespace

void let_children_begin(void (*begin)()) { begin_child = begin; }

HEAPSTER_ALIGNS_STACK Target find_target() {
  switch (load(process.stage)) {
    case Stage::kOff:
      return {nullptr, false};
    case Stage::kEarly:
      return early_target();
    case Stage::kCounting:
      break;
  }
  if (load(gate.any) == 0) begin_child();
  if (load(gate.any) == 0) return load(process.stage) == Stage::kOff ? Target{nullptr, false} : early_target();
  return claim_target();
}

Shard* claim_scope(uint32_t scope, const char* path) {
  Shard* shard = take_over(scope_slots[scope]);
  if (shard == nullptr) return nullptr;
  memcpy(shard->scope_path, path, strlen(path));
  store(shard->ceiling, kNoCeiling);
  store(shard->scope, scope);
  store(home_shard().scope_slots[scope], static_cast<uint16_t>(shard->place + 1));
  return shard;
}

void gather_early() {
  Shard* to = own_shard();
  if (to == nullptr || !load(early_used)) return;
  move_words(early.counters, to->counters);
  move_words(early.sizes, to->sizes);  // the early shard is written to the slow way, without exact counts
  move_words(early.reallocs, to->reallocs);
  Together::raise(to->ceiling, load(to->net) + __atomic_exchange_n(&early.ceiling, int64_t{0}, __ATOMIC_RELAXED));
  Alone::add(to->net, __atomic_exchange_n(&early.net, int64_t{0}, __ATOMIC_RELAXED));
}

// All places get the same shard: what shares from now on is little, or will have no other.
void prepare_sharing() {
  const Target target = shared_target(Note::k_silent);
  for (Shard*& shard : shared_shards) {
    if (target.shard != &early && load(shard) == nullptr) store(shard, target.shard);
  }
}

void start_threads() {
  thread_state.stage = kFresh;
  claim_target();
  gather_early();
}

void restart_threads() {
  thread_state = {};
  free_slots.clear();
  for (FreeList& list : scope_slots) list.clear();
  for (Shard*& shard : shared_shards) shard = nullptr;
  if (early_used) memset(&early, 0, sizeof early);
  early_used = false;
}

void refresh_names() {
  const uint32_t own_tid = kernel::tid();
  for (uint32_t i = 0; i < load(slots_section().used); ++i) {
    Slot* slot = segment.slot(i);
    const uint32_t tid = slot != nullptr ? load(slot->now.tid) : 0;
    if (tid == 0) continue;
    if (tid == own_tid) {
      take_name(slot->now);
      continue;
    }
    char path[48];
    alignas(uint64_t) char name[sizeof slot->now.name] = {};
    TextBuilder(path, sizeof path).add("/proc/self/task/").add(tid).add("/comm");
    const bool still = read_text(path, name, sizeof name) != 0 && load(slot->now.tid) == tid;
    if (still) copy_words(slot->now.name, name, sizeof name);
  }
}

}  // namespace heapster::preload
