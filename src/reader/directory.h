// SPDX-License-Identifier: MIT
//
// The part of a segment that says where the rest is, checked. Every offset, count and size in it
// may be a lie; whoever holds a Directory may use its sections without a further thought, except
// that a file may still be cut short under the reader, which Source::read tells.

#pragma once

#include <array>
#include <optional>
#include <vector>

#include "layout/stacks.h"
#include "reader/result.h"
#include "reader/source.h"

namespace heapster::reader {

// What a file may make us read at most: far above what the preload writes, and far below harm.
inline constexpr uint64_t kMostTextBytes = 64 * 1024;
inline constexpr uint64_t kMostFields = 256;
inline constexpr uint64_t kMostPoints = 8 * kTimelinePoints;
inline constexpr uint64_t kMostSlotBytes = 8 * sizeof(Slot);
inline constexpr uint64_t kMostPointBytes = 1024;
inline constexpr uint64_t kMostSamplingBytes = 4096;
inline constexpr uint64_t kMostStackItemBytes = 1024;
inline constexpr uint64_t kMostArenaBytes = 1024;

struct Directory {
  Header header;
  // used = 0 where the file lacks the section.
  Section texts, schema, live_at_peak, live_at_fork, timeline, arenas, slots;
  Section sampling, modules, stacks, frames, samples;  // where stacks were asked for
  std::vector<FieldInfo> fields;                       // of known kinds, inside their slot or point

  uint64_t shard_bytes() const { return slots.item_bytes / 2; }
  uint64_t now_offset(uint64_t slot) const { return slots.offset + slot * slots.item_bytes; }
  uint64_t before_offset(uint64_t slot) const { return now_offset(slot) + shard_bytes(); }
};

Result<Directory> read_directory(const Source& source);

// Whose file it is, for one look at many; nothing where it is no file of this format.
std::optional<Identity> read_identity(const Source& source);

// The fixed words of a shard, those that the schema does not describe.
inline constexpr size_t kShardHeadBytes = offsetof(Shard, counters);
struct ShardHead {
  int64_t net;
  int64_t ceiling;
  uint32_t tid;
  uint32_t generation;
  Role role;
  uint64_t started;
  uint32_t scope;  // below kMaxScopes
  std::array<char, sizeof(Shard::name)> name;
  std::array<char, sizeof(Shard::scope_path)> scope_path;
};

// A shard's bytes; at least kShardHeadBytes of them.
ShardHead shard_head(const std::vector<char>& shard);

}  // namespace heapster::reader
