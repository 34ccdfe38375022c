// SPDX-License-Identifier: MIT
//
// The description that each file carries of its own numbers: one FieldInfo per stored number,
// made from the lists at compile time. A reader of another version looks names up here instead
// of trusting its own struct.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "layout/segment.h"

namespace heapster {

namespace detail {

constexpr void copy_text(char* to, size_t room, const char* from) {
  for (size_t i = 0; i + 1 < room && from[i] != '\0'; ++i) to[i] = from[i];
}

constexpr FieldInfo field(const char* name, FieldKind kind, size_t offset, size_t stride, const char* unit) {
  FieldInfo info{};
  copy_text(info.name, sizeof info.name, name);
  copy_text(info.unit, sizeof info.unit, unit);
  info.kind = static_cast<uint32_t>(kind);
  info.offset = static_cast<uint32_t>(offset);
  info.stride = static_cast<uint32_t>(stride);
  return info;
}

}  // namespace detail

inline constexpr auto kSchema = std::to_array<FieldInfo>({
#define HEAPSTER_SIZES(name, ...)                                                                                  \
  detail::field(#name, FieldKind::kHistogram, offsetof(Shard, sizes) + offsetof(SizeLine, name), sizeof(SizeLine), \
                "bytes"),
#define HEAPSTER_EXACTS(name)                                                                                    \
  detail::field(#name, FieldKind::kExact, offsetof(Shard, exact) + offsetof(ExactLine, name), sizeof(ExactLine), \
                "blocks"),
#define HEAPSTER_REALLOCS(name, ...)                                                                   \
  detail::field(#name, FieldKind::kHistogram, offsetof(Shard, reallocs) + offsetof(ReallocLine, name), \
                sizeof(ReallocLine), "bytes"),
#define HEAPSTER_COUNTER(name, unit, ...) \
  detail::field(#name, FieldKind::kWord, offsetof(Shard, counters) + offsetof(Counters, name), sizeof(uint64_t), #unit),
#include "heapster/counters.def"
    detail::field("live_shift", FieldKind::kBlock, offsetof(Shard, growing), sizeof(uint64_t), "bytes"),
    detail::field("dealloc", FieldKind::kWaiting, offsetof(Shard, waiting), sizeof(uint64_t), "blocks"),
#define HEAPSTER_COLUMN(name, unit, help) \
  detail::field(#name, FieldKind::kColumn, offsetof(TimelinePoint, name), sizeof(int64_t), #unit),
#include "layout/timeline.def"
});

static_assert(sizeof(kSchema) <= kSchemaBytes);

}  // namespace heapster
