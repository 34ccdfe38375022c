// SPDX-License-Identifier: MIT
//
// Which shard a thread writes to. A thread claims one at its first call and gives it back at its
// end; the next thread goes on in it. Calls that have no shard of their own (before the constructor,
// after a thread's end, beyond 4,096 threads, while a shard is being claimed) go to a few shards
// that many threads share with atomic adds.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/shard/own_shard.h"

namespace heapster::preload {

struct Target {
  Shard* shard;  // null: count nothing
  bool shared;
};

// Where a thread that has no shard at hand is to count: one of its own from now on, if there is one to be had. A fork's
// child begins by its first call.
Target find_target();

// What makes a fork's child a measured process of its own; the gate is open when it could.
void let_children_begin(void (*begin)());

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
