// SPDX-License-Identifier: MIT
//
// Which shard a thread writes to. A thread claims one at its first call and gives it back at its
// end; the next thread goes on in it. Calls that have no shard of their own (before the constructor,
// after a thread's end, beyond 4,096 threads, while a shard is being claimed) go to a few shards
// that many threads share with atomic adds.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/recorder.h"
#include "preload/segment_memory.h"

namespace heapster::preload {

enum ThreadStage : uint32_t {
  kFresh = 0,
  kClaiming,  // a signal handler's call, or pthread_setspecific's, must not claim again
  kOwning,
  kSharing,  // no shard was to be had
  kEnded,
};

struct Target {
  Shard* shard;  // null: count nothing
  bool shared;
};

// Makes the calling thread own a shard if it does not; what it may write to.
Target claim_target();

// The shard that an owning thread writes to outside any scope.
inline Shard& home_shard() { return segment.known_slot(thread_state.slot).now; }

// Makes the calling thread own a shard for a scope, too; null where none is to be had.
Shard* claim_scope(uint32_t scope, const char* path);

// Where calls are counted while there is no segment.
Target early_target();

// Takes what was counted early over into the calling thread's shard, which it claims.
void start_threads();

// Makes sure that threads can share a shard without a system call.
void prepare_sharing();

// In a fork's child: nobody owns a shard, the calling thread is the only one.
void restart_threads();

// Hands what was counted in no slot of the segment over to a slot, so that a snapshot has it.
void gather_early();

// Reads the names of living threads anew: most are named after their first call.
void refresh_names();

}  // namespace heapster::preload
