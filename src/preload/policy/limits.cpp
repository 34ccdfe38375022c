// SPDX-License-Identifier: MIT
//
// How near the limit is, is first judged by what the shards published and their bands, which is never less than what
// lives. Where that does not settle it, the net words are added up. A call holds its bytes while that is done and while
// the next allocator is at it: whoever else comes near the limit meanwhile sees them. They are let go when the block is
// there, just before the hook counts it. No figure tells of them.

#include "preload/policy/limits.h"

#include "layout/failures.h"
#include "preload/base/clock.h"
#include "preload/base/config.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/poisson.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/count/publish.h"
#include "preload/count/recorder.h"
#include "preload/count/threads.h"
#include "preload/next/next.h"
#include "preload/operators/operators.h"
#include "preload/sampling/followed.h"
#include "preload/segment/segment_memory.h"
#include "preload/snapshot/dump_signal.h"

namespace heapster::preload {

namespace {

constexpr uint64_t kSmall = 4096;  // may use the reserve
constexpr uint64_t kLeastReserve = 64 * 1024;
constexpr int kEnomem = 12;

constinit uint64_t most = 0;      // live bytes; 0: no limit
constinit bool reached = false;   // something was refused at this limit
constinit bool standing = false;  // in the table
constinit uint64_t attempts = 0;  // so far, where some are to fail
constinit int64_t held = 0;       // bytes of calls that are being decided on, or that the next allocator is at

// What stood in the table before us.
struct Real {
  decltype(next.malloc.found) malloc;
  decltype(next.calloc.found) calloc;
  decltype(next.realloc.found) realloc;
  decltype(next.memalign.found) memalign;
  decltype(next.aligned_alloc.found) aligned_alloc;
  decltype(next.posix_memalign.found) posix_memalign;
  decltype(next.valloc.found) valloc;
  decltype(next.pvalloc.found) pvalloc;
};
constinit Real real = {};

Published& published() { return segment.header()->published; }

// Whether this process's live bytes are known. A fork's child gets its own segment now, if it has none yet.
bool counting() {
  if (HEAPSTER_UNLIKELY(load(gate.any) == 0)) find_target();
  return load(gate.any) != 0;
}

// Whether the rule wants this attempt to fail. A probability's draws are told by the attempt's number, so that the same
// attempts fail in each run.
bool shall_fail(uint64_t size) {
  const Failures& failures = config.fail;
  if (failures.rule == Rule::kNone) return false;
  const uint64_t attempt = __atomic_add_fetch(&attempts, uint64_t{1}, __ATOMIC_RELAXED);
  uint64_t state = failures.seed * 0xbf58476d1ce4e5b9 + attempt;
  switch (failures.rule) {
    case Rule::kEvery:
      return attempt % failures.number == 0;
    case Rule::kNth:
      return attempt == failures.number;
    case Rule::kProbability:
      return next_random(state) <= failures.number;
    case Rule::kAbove:
      return size > failures.number;
    case Rule::kNone:
      break;
  }
  return false;
}

uint64_t reserve_of(uint64_t bytes) { return bytes / 64 > kLeastReserve ? bytes / 64 : kLeastReserve; }

// How many bytes may live for a call of this size to pass.
uint64_t allowance(uint64_t size) {
  const uint64_t bytes = load(most);
  return size <= kSmall && load(reached) ? bytes + reserve_of(bytes) : bytes;
}

// With what is held.
bool lives_within(uint64_t allowed, uint64_t more) {
  const int64_t live = live_bytes() + __atomic_load_n(&held, __ATOMIC_SEQ_CST);
  return live <= 0 || (static_cast<uint64_t>(live) <= allowed && allowed - static_cast<uint64_t>(live) >= more);
}

// No other thread's small blocks, counted or not, can make up for what is left.
bool far_from_limit(uint64_t growth) {
  if (growth > kPublishBound) return false;
  const int64_t live = most_live_bytes() + load(held) + 2 * kPublishBound;
  return live <= 0 || static_cast<uint64_t>(live) <= load(most);
}

// The first time in the life of the process leaves a snapshot.
HEAPSTER_ALIGNS_STACK void tell_of_limit() {
  raise(Note::k_limit_reached);
  store(reached, true);
  const uint64_t now = since_start(coarse_time());
  uint64_t never = 0;
  if (__atomic_compare_exchange_n(&published().limit_reached, &never, now != 0 ? now : 1, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED)) {
    const KeepErrno keep;
    dump_now();
  }
}

// Whether a call for `size` bytes, `growth` more than its block has, may go on; and what it holds meanwhile.
class Admission {
 public:
  Admission(uint64_t size, uint64_t growth) : growth_(growth) {
    if (thread_state.resolving || thread_state.asking || !counting()) return;
    if (shall_fail(size)) {
      raise(Note::k_failures_injected);
      granted_ = false;
    } else if (load(most) != 0 && growth != 0 && !far_from_limit(growth)) {
      look_closely(size);
    }
  }
  ~Admission() { let_go(); }
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  explicit operator bool() const { return granted_; }

  // What the allocator set aside may be more than was asked for; a block that is too much goes back.
  bool keeps(void* block) {
    if (HEAPSTER_LIKELY(allowed_ == 0) || block == nullptr) return true;
    const uint64_t usable = usable_size(block);
    if (usable <= growth_ || lives_within(allowed_, usable - growth_)) return true;
    next.free(block);
    refuse();
    return false;
  }

 private:
  HEAPSTER_COLD void look_closely(uint64_t size) {
    allowed_ = allowance(size);
    granted_ = growth_ <= allowed_;
    if (granted_) hold();
    // Twice: at the first look another thread may have been between letting go and counting.
    granted_ = granted_ && lives_within(allowed_, 0) && lives_within(allowed_, 0);
    if (!granted_) refuse();
  }

  // Of two threads that hold, one sees the other.
  void hold() {
    holds_ = true;
    __atomic_fetch_add(&held, static_cast<int64_t>(growth_), __ATOMIC_SEQ_CST);
  }

  void let_go() {
    if (holds_) __atomic_fetch_sub(&held, static_cast<int64_t>(growth_), __ATOMIC_SEQ_CST);
    holds_ = false;
  }

  void refuse() {
    let_go();
    tell_of_limit();
  }

  uint64_t growth_;
  uint64_t allowed_ = 0;  // 0: the limit is far
  bool holds_ = false;
  bool granted_ = true;
};

void* refused() {
  *__errno_location() = kEnomem;
  return nullptr;
}

template <typename Allocate>
void* limited(size_t size, Allocate allocate) {
  Admission admission(size, size != 0 ? size : 1);
  if (!admission) return refused();
  void* block = allocate();
  return admission.keeps(block) ? block : refused();
}

void* limited_malloc(size_t size) {
  return limited(size, [=] { return real.malloc(size); });
}

void* limited_calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return real.calloc(count, size);
  return limited(bytes, [=] { return real.calloc(count, size); });
}

void* limited_realloc(void* block, size_t size) {
  if (block == nullptr) return limited(size, [=] { return real.realloc(nullptr, size); });
  if (size == 0 || thread_state.asking) return real.realloc(block, size);
  const uint64_t before = usable_size(block);
  const Admission admission(size, size > before ? size - before : 0);
  return admission ? real.realloc(block, size) : refused();
}

void* limited_memalign(size_t alignment, size_t size) {
  return limited(size, [=] { return real.memalign(alignment, size); });
}

void* limited_aligned_alloc(size_t alignment, size_t size) {
  return limited(size, [=] { return real.aligned_alloc(alignment, size); });
}

// Leaves errno and *block alone where it fails.
int limited_posix_memalign(void** block, size_t alignment, size_t size) {
  Admission admission(size, size != 0 ? size : 1);
  if (!admission) return kEnomem;
  void* fresh = nullptr;
  const int result = real.posix_memalign(&fresh, alignment, size);
  if (result != 0) return result;
  if (!admission.keeps(fresh)) return kEnomem;
  *block = fresh;
  return 0;
}

void* limited_valloc(size_t size) {
  return limited(size, [=] { return real.valloc(size); });
}

void* limited_pvalloc(size_t size) {
  return limited(size, [=] { return real.pvalloc(size); });
}

template <typename Slot, typename Function>
void stand_before(Slot& slot, Function& before, Function ours) {
  before = load(slot.found);
  if (before != nullptr) __atomic_store_n(&slot.found, ours, __ATOMIC_RELEASE);
}

void stand_in_the_table() {
  if (__atomic_exchange_n(&standing, true, __ATOMIC_ACQ_REL)) return;
  route_operators_through_malloc();
  if (!stand_below_sampling(real.malloc, limited_malloc, real.realloc, limited_realloc)) {
    stand_before(next.malloc, real.malloc, limited_malloc);
    stand_before(next.realloc, real.realloc, limited_realloc);
  }
  stand_before(next.calloc, real.calloc, limited_calloc);
  stand_before(next.memalign, real.memalign, limited_memalign);
  stand_before(next.aligned_alloc, real.aligned_alloc, limited_aligned_alloc);
  stand_before(next.posix_memalign, real.posix_memalign, limited_posix_memalign);
  stand_before(next.valloc, real.valloc, limited_valloc);
  stand_before(next.pvalloc, real.pvalloc, limited_pvalloc);
}

}  // namespace

void start_limits() {
  if (config.limit == 0 && config.fail.rule == Rule::kNone) return;  // and touch nothing
  store(most, config.limit);
  published().limit = config.limit;
  stand_in_the_table();
}

void restart_limits() {
  if (!load(standing)) return;
  attempts = 0;
  held = 0;
  reached = false;
  published().limit = load(most);
}

bool set_limit(uint64_t bytes) {
  if (bytes != 0) {
    if (bytes > kMostLimit) bytes = kMostLimit;
    if (!counting() || !lives_within(bytes, 0)) return false;
    stand_in_the_table();
  }
  store(reached, false);
  store(most, bytes);
  if (counting()) store(published().limit, bytes);
  return true;
}

uint64_t limit() { return load(most); }

uint64_t remaining() {
  const uint64_t bytes = load(most);
  if (bytes == 0 || !counting()) return UINT64_MAX;
  const int64_t live = live_bytes();
  if (live <= 0) return bytes;
  return static_cast<uint64_t>(live) < bytes ? bytes - static_cast<uint64_t>(live) : 0;
}

}  // namespace heapster::preload
