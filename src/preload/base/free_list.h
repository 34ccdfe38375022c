// SPDX-License-Identifier: MIT
//
// A stack of free places in a table, popped and pushed by compare-exchange. Its head carries a tag, so that
// a place popped and pushed again meanwhile is noticed. No lock is ever held, so a fork or a signal can come at any
// moment.

#pragma once

#include <cstdint>

#include "preload/base/words.h"

namespace heapster::preload {

inline constexpr uint32_t kNoPlace = UINT32_MAX;

// link(index) gives the word of a free place in which the one below is kept.
class FreeList {
 public:
  template <typename Link>
  void push(uint32_t index, Link link) {
    uint64_t head = load(head_);
    uint64_t fresh;
    do {
      store(link(index), static_cast<uint32_t>(head));
      fresh = ((head >> 32) + 1) << 32 | (index + 1);
    } while (!__atomic_compare_exchange_n(&head_, &head, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  }

  template <typename Link>
  uint32_t pop(Link link) {
    uint64_t head = __atomic_load_n(&head_, __ATOMIC_ACQUIRE);
    while (static_cast<uint32_t>(head) != 0) {
      const uint32_t index = static_cast<uint32_t>(head) - 1;
      const uint64_t below = ((head >> 32) + 1) << 32 | load(link(index));
      if (__atomic_compare_exchange_n(&head_, &head, below, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return index;
    }
    return kNoPlace;
  }

  void clear() { head_ = 0; }

 private:
  uint64_t head_ = 0;  // tag << 32 | index + 1
};

}  // namespace heapster::preload
