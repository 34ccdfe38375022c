// SPDX-License-Identifier: MIT
//
// What a shard's step is told and decided by, for those who publish and those who sample.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/base/words.h"
#include "preload/shard/gate.h"
#include "unwind/capture.h"

namespace heapster::preload {

// Whose call it was that led here, and whether it made a block grow.
struct Caller {
  unwind::Registers registers;
  bool grown;
};

inline constexpr uint64_t kTick = 4'000'000;  // nanoseconds; of the coarse clock
inline constexpr uint64_t kQuickestPace = 16 * 1024;

// Whether the level is so far from where it was at the last step that others ought to know, or the table at the peak.
inline bool has_strayed(const Shard* shard) {
  const int64_t net = load(shard->net);
  if (net < load(shard->floor)) return true;
  return net > load(shard->ceiling) || (load(gate.several) == 0 && net > load(shard->look_at));
}

}  // namespace heapster::preload
