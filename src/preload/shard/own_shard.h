// SPDX-License-Identifier: MIT
//
// The calling thread's shard, as far as the gate lets it through.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/base/attributes.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/gate.h"

namespace heapster::preload {

// The thread's shard, and the same where it may be written to without asking for usable sizes.
inline Shard* own_shard() {
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.any));
}
HEAPSTER_HOT Shard* fast_shard() {
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.fast));
}

// Null, too, while this thread asks already.
HEAPSTER_HOT Shard* asking_shard() {
  const uintptr_t not_asking = uintptr_t{thread_state.asking} - 1;
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.asking) & not_asking);
}

// The shard that an owning thread writes to outside any scope.
inline Shard& home_shard() { return segment.known_slot(thread_state.slot).now; }

}  // namespace heapster::preload
