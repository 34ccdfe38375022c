// SPDX-License-Identifier: MIT
//
// Where sections stand in the header's directory, and what lies in the slots'.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/base/words.h"
#include "preload/segment/segment_memory.h"

namespace heapster::preload {

// Positions in the header's directory.
inline constexpr uint32_t kTextsSection = 0;
inline constexpr uint32_t kSchemaSection = 1;
inline constexpr uint32_t kLiveAtPeakSection = 2;
inline constexpr uint32_t kLiveAtForkSection = 3;
inline constexpr uint32_t kTimelineSection = 4;
inline constexpr uint32_t kSlotsSection = 5;
inline constexpr uint32_t kArenasSection = 6;
inline constexpr uint32_t kSectionCount = 7;
// Further ones where stacks were asked for.
inline constexpr uint32_t kSamplingSection = 7;
inline constexpr uint32_t kModulesSection = 8;
inline constexpr uint32_t kStacksSection = 9;
inline constexpr uint32_t kFramesSection = 10;
inline constexpr uint32_t kSamplesSection = 11;
inline constexpr uint32_t kSectionCountWithStacks = 12;

inline Section& slots_section() { return segment.header()->sections[kSlotsSection]; }

// Every shard that anybody ever owned, which is mapped.
template <typename Visit>
void each_shard(Visit visit) {
  const auto used = static_cast<uint32_t>(load(slots_section().used));
  for (uint32_t i = 0; i < used; ++i) {
    if (Slot* slot = segment.slot(i)) visit(slot->now);
  }
}

}  // namespace heapster::preload
