// SPDX-License-Identifier: MIT
//
// What sampling keeps for each thread, by its slot and in private memory, so that threads do not wait for each other's
// cache lines: the trail of its last capture and the stack that this was, and a few free places for samples.
//
// A signal's handler may allocate while its thread is at it. `busy` is the stack pointer of whoever is; a handler finds
// it set, and does without. One that left by a jump is recognised by the stack pointer, which is above it again.

#pragma once

#include <cstdint>

#include "preload/base/words.h"
#include "unwind/capture.h"

namespace heapster::preload {

struct ThreadSamples {
  static constexpr uint32_t kSpares = 16;

  uintptr_t busy;    // 0: nobody
  uint64_t stepped;  // when a step for a sample was last a whole one, by the clock of samples
  uint32_t stack;    // that the trail is of,
  uint32_t scope;    // in this scope
  uint32_t spare_count;
  uint32_t spares[kSpares];
  unwind::Trail trail;
};

// Has a thread's part for as long as it lives, unless somebody else has.
class HeldSamples {
 public:
  HeldSamples(ThreadSamples* part, bool own_stack) {
    if (part == nullptr) return;
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    const uintptr_t holder = load(part->busy);
    if (holder != 0 && !(own_stack && holder <= here)) return;
    part_ = part;
    store(part_->busy, here);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  }
  ~HeldSamples() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (part_ != nullptr) store(part_->busy, uintptr_t{0});
  }
  HeldSamples(const HeldSamples&) = delete;
  HeldSamples& operator=(const HeldSamples&) = delete;
  explicit operator bool() const { return part_ != nullptr; }
  ThreadSamples* operator->() const { return part_; }

 private:
  ThreadSamples* part_ = nullptr;
};

}  // namespace heapster::preload
