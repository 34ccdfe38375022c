// SPDX-License-Identifier: MIT
//
// A shard's counts by size as they are told: the cells of a bucket, and what was counted by exact size besides.

#pragma once

#include <cstdint>

#include "layout/bucket.h"
#include "layout/exact.h"
#include "layout/segment.h"
#include "preload/base/words.h"

namespace heapster::preload {

inline SizeLine size_line(const Shard& shard, uint32_t bucket) {
  SizeLine line;
#define HEAPSTER_SIZES(name, ...) \
  line.name = {load(shard.sizes[bucket].name.count), load(shard.sizes[bucket].name.bytes)};
#include "heapster/counters.def"
  const uint32_t first = first_exact_line(bucket);
  const uint32_t end = first_exact_line(bucket + 1);
  for (uint32_t i = first; i < end; ++i) {
    uint64_t any = 0;  // most lines are empty, and a look is all that they cost
#define HEAPSTER_EXACTS(name) any |= load(shard.exact[i].name);
#include "heapster/counters.def"
    if (any == 0) continue;
    uint64_t count;
#define HEAPSTER_EXACTS(name)        \
  count = load(shard.exact[i].name); \
  line.name.count += count;          \
  line.name.bytes += count * exact_bytes(i);
#include "heapster/counters.def"
  }
  for (uint32_t i = 0; first < end && i < kWaitingLines; ++i) {
    const uint64_t waiting = load(shard.waiting[i]) / kExactStep;
    if (waiting < first || waiting >= end) continue;
    line.dealloc.count += 1;
    line.dealloc.bytes += exact_bytes(static_cast<uint32_t>(waiting));
  }
  const uint64_t growing = load(shard.growing);
  if (growing != 0 && bucket_of(growing) == bucket) {
    line.live_shift.count += 1;
    line.live_shift.bytes += growing;
  }
  return line;
}

// What lives of a line's blocks.
inline Cell living(const SizeLine& line) {
  return {line.usable.count - line.dealloc.count + line.live_shift.count,
          line.usable.bytes - line.dealloc.bytes + line.live_shift.bytes};
}

}  // namespace heapster::preload
