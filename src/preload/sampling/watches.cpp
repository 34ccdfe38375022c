// SPDX-License-Identifier: MIT
//
// A few watches, each a small table from a stack's place to sums, in private memory that is mapped at the first use and
// stays. They are not the program's memory: another thread may be adding to a watch on everyone at the very moment when
// its owner gives it back. What such a late-comer adds is lost, or is one sample too many in the next watch on
// everyone.

#include "preload/sampling/watches.h"

#include "layout/stacks.h"
#include "preload/base/kernel.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/sampling/attribution.h"

namespace heapster::preload {

namespace {

constexpr uint32_t kWatches = 8;
constexpr uint32_t kSites = HEAPSTER_SITES;

// Whose watch it is: nobody's; somebody's, but it gathers nothing; everyone's; or the address of a thread's state.
enum : uint64_t { kFree = 0, kHeld = 1, kEveryone = 2 };

}  // namespace

struct Watch {
  uint64_t owner;
  uint64_t pid;                 // places of stacks are of one process: a fork's child has tables of its own
  heapster_site sites[kSites];  // by a hash of the stack, whose place + 1 stands in them; 0: empty
};
constinit Watch* watches = nullptr;

namespace {

uint64_t own_mark() { return reinterpret_cast<uint64_t>(&thread_state); }

Watch* table() {
  Watch* there = __atomic_load_n(&watches, __ATOMIC_ACQUIRE);
  if (there != nullptr || load(process.silent)) return there;
  constexpr size_t kBytes = kWatches * sizeof(Watch);
  auto* fresh = static_cast<Watch*>(kernel::map(kBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  if (fresh == nullptr) return nullptr;
  if (__atomic_compare_exchange_n(&watches, &there, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return fresh;
  kernel::unmap(fresh, kBytes);
  return there;
}

Watch* watch_of(uint64_t number) {
  Watch* all = __atomic_load_n(&watches, __ATOMIC_ACQUIRE);
  return all != nullptr && number >= 1 && number <= kWatches ? &all[number - 1] : nullptr;
}

bool take(Watch& watch) {
  uint64_t nobody = kFree;
  return __atomic_compare_exchange_n(&watch.owner, &nobody, uint64_t{kHeld}, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void clear(Watch& watch) {
  for (heapster_site& site : watch.sites) {
    if (load(site.stack) == 0) continue;
    constexpr heapster_site kNone{};
    copy_words(&site, &kNone, sizeof site);
  }
}

// The stack's site; null where all are of other stacks.
heapster_site* site_of(Watch& watch, uint64_t stack) {
  const uint64_t first = stack * 0x9e3779b97f4a7c15 >> 32;
  for (uint32_t probe = 0; probe < kSites; ++probe) {
    heapster_site& site = watch.sites[(first + probe) % kSites];
    uint64_t seen = load(site.stack);
    if (seen == 0 &&
        __atomic_compare_exchange_n(&site.stack, &seen, stack, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return &site;
    }
    if (seen == stack) return &site;
  }
  return nullptr;
}

void add(Watch& watch, uint64_t stack, const Done& done) {
  heapster_site* site = site_of(watch, stack);
  if (site == nullptr) return;
  Together::add(site->alloc_count, done.alloc_count);
  Together::add(site->alloc_bytes, done.alloc_bytes);
  Together::add(site->growth_count, done.growth_count);
  Together::add(site->freed_count, done.freed_count);
  Together::add(site->freed_bytes, done.freed_bytes);
}

uint64_t whole_blocks(uint64_t in_256ths) { return (load(in_256ths) + kWholeBlock / 2) / kWholeBlock; }

heapster_site told(const heapster_site& site) {
  return {.stack = load(site.stack) - 1,
          .alloc_count = whole_blocks(site.alloc_count),
          .alloc_bytes = load(site.alloc_bytes),
          .growth_count = load(site.growth_count),
          .freed_count = whole_blocks(site.freed_count),
          .freed_bytes = load(site.freed_bytes)};
}

}  // namespace

uint64_t begin_watch(bool everyone) {
  Watch* all = is_sampling() ? table() : nullptr;
  for (uint32_t i = 0; all != nullptr && i < kWatches; ++i) {
    if (!take(all[i])) continue;
    clear(all[i]);
    store(all[i].pid, uint64_t{process.pid});
    __atomic_store_n(&all[i].owner, everyone ? uint64_t{kEveryone} : own_mark(), __ATOMIC_RELEASE);
    return i + 1;
  }
  return 0;
}

size_t watched(uint64_t number, heapster_site* into, size_t room) {
  Watch* watch = watch_of(number);
  if (watch == nullptr) return 0;
  __atomic_store_n(&watch->owner, uint64_t{kHeld}, __ATOMIC_RELEASE);
  size_t found = 0;
  for (const heapster_site& site : watch->sites) {
    if (load(site.stack) == 0 || load(watch->pid) != process.pid) continue;
    if (found < room) into[found] = told(site);
    ++found;
  }
  return found;
}

void end_watch(uint64_t number) {
  if (Watch* watch = watch_of(number)) __atomic_store_n(&watch->owner, uint64_t{kFree}, __ATOMIC_RELEASE);
}

void tell_each_watch(uint32_t stack, const Done& done) {
  Watch* all = __atomic_load_n(&watches, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; all != nullptr && i < kWatches; ++i) {
    const uint64_t owner = __atomic_load_n(&all[i].owner, __ATOMIC_ACQUIRE);
    if (owner != own_mark() && owner != kEveryone) continue;
    if (load(all[i].pid) == process.pid) add(all[i], uint64_t{stack} + 1, done);
  }
}

}  // namespace heapster::preload
