// SPDX-License-Identifier: MIT
//
// Sums over all shards.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/segment/sections.h"

namespace heapster::preload {

inline constexpr uint32_t kFewShards = 8;      // to add up so many costs less than to ask whether there is time for it
inline constexpr uint64_t kShareOfTime = 128;  // sums over more take one part of the time in so many

// How many shards anybody ever owned.
inline uint32_t shards() { return static_cast<uint32_t>(load(slots_section().used)); }

// Live bytes of the process's own, without what lived at a fork.
int64_t sum_net();

struct Totals {
  int64_t live_bytes;  // Σ net
  Cell alloc;
  Cell dealloc;
  uint64_t copied_bytes;
};
Totals sum_totals();

// The same by one caller at a time, who asks again and again: of many shards only those are added up anew in which
// something has happened.
Totals sum_changed_totals();
// In a fork's child.
void forget_totals();

// Live blocks by usable size, and what lived at the fork besides.
void sum_live_cells(Cell (&cells)[kBuckets]);

}  // namespace heapster::preload
