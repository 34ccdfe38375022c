// SPDX-License-Identifier: MIT
//
// The bytes of our own segment: a tmpfs file mapped shared where it can be had, private memory of
// the same layout elsewhere. Only the first slots are mapped at the start (a locked-memory limit or
// mlockall must not be hit); more follow in chunks. The file's descriptor is closed by then, since
// programs close all descriptors and reuse the numbers: a further mapping of the same file is
// made from an existing one by mremap with an old size of 0.
//
// No page of the file is touched before the kernel has promised it (MADV_POPULATE_WRITE, or
// fallocate where there is none): on a full tmpfs a touch would be a SIGBUS.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"
#include "preload/base/attributes.h"
#include "preload/base/kernel.h"
#include "preload/base/words.h"

namespace heapster::preload {

class SegmentMemory {
 public:
  static constexpr size_t kPage = kernel::kPage;
  static constexpr uint32_t kFirstSlots = 8;  // mapped at the start, with the header 232 KiB
  static constexpr uint32_t kChunkSlots = 16;
  static constexpr size_t kFirstBytes = kSlotsOffset + kFirstSlots * sizeof(Slot);
  // Promised at the start: the timeline's first page with what lies before it, and one shard.
  static constexpr size_t kPromisedHead = kTimelineOffset + kPage;
  static constexpr size_t kPromisedSlots = kSlotsOffset + kShardBytes;
  static constexpr size_t kFileBytes = kSlotsOffset + size_t{kMaxSlots} * sizeof(Slot);

  // Maps the head of an empty file of ours and gives it that size; on false nothing changed, and `full` tells if space
  // was lacking.
  bool map_file(int fd, size_t bytes, bool& full);
  bool map_private();
  // Forgets the mapping, which a fork's child inherited from its parent, and gives it back.
  void abandon();

  Header* header() const { return reinterpret_cast<Header*>(base_); }
  template <typename T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  bool is_file() const { return is_file_; }

  // A slot that somebody owns, and that is mapped therefore.
  Slot& known_slot(uint32_t index) const;
  // The slot, or null where it is not mapped.
  Slot* slot(uint32_t index) const;
  // Makes a slot's `now` (or `before`) part safe to touch; false where that cannot be.
  bool ensure(uint32_t index);
  bool ensure_before(Slot* slot) const;
  // Makes the whole timeline safe to touch.
  bool ensure_timeline() const;
  // The same of the table of arenas.
  bool ensure_arenas() const;

 private:
  static constexpr uint32_t kChunks = (kMaxSlots - kFirstSlots + kChunkSlots - 1) / kChunkSlots;
  static constexpr size_t kChunkBytes = kChunkSlots * sizeof(Slot);

  bool promised(const void* at, size_t bytes) const;
  bool ensure_chunk(uint32_t chunk);

  char* base_ = nullptr;
  bool is_file_ = false;
  bool all_first_promised_ = false;  // no MADV_POPULATE_WRITE: all was allocated at once
  char* chunks_[kChunks] = {};
};

inline Slot& SegmentMemory::known_slot(uint32_t index) const {
  if (index < kFirstSlots) return reinterpret_cast<Slot*>(base_ + kSlotsOffset)[index];
  const uint32_t beyond = index - kFirstSlots;
  return reinterpret_cast<Slot*>(load(chunks_[beyond / kChunkSlots]))[beyond % kChunkSlots];
}

HEAPSTER_LOCAL extern constinit SegmentMemory segment;

}  // namespace heapster::preload
