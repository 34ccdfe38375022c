// SPDX-License-Identifier: MIT

#include "preload/segment/segment_memory.h"

#include "preload/base/kernel.h"
#include "preload/base/words.h"

namespace heapster::preload {

constinit SegmentMemory segment;

bool SegmentMemory::map_file(int fd, size_t bytes, bool& full) {
  full = false;
  if (kernel::truncate(fd, bytes) != 0) return false;
  void* at = kernel::map(kFirstBytes, MAP_SHARED, fd);
  if (at == nullptr) return false;
  all_first_promised_ =
      !kernel::set_aside(at, kPromisedHead) || !kernel::set_aside(static_cast<char*>(at) + kSlotsOffset, kShardBytes);
  full = all_first_promised_ && kernel::allocate(fd, kFirstBytes) != 0;
  if (full) {
    kernel::unmap(at, kFirstBytes);
    return false;
  }
  base_ = static_cast<char*>(at);
  is_file_ = true;
  return true;
}

bool SegmentMemory::map_private() {
  base_ = static_cast<char*>(kernel::map(kFirstBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  is_file_ = false;
  return base_ != nullptr;
}

void SegmentMemory::abandon() {
  if (base_ != nullptr) kernel::unmap(base_, kFirstBytes);
  base_ = nullptr;
  for (char*& chunk : chunks_) {
    if (chunk == nullptr) break;  // they are mapped in order
    kernel::unmap(is_file_ ? chunk - kPage : chunk, kChunkBytes + (is_file_ ? kPage : 0));
    chunk = nullptr;
  }
}

Slot* SegmentMemory::slot(uint32_t index) const {
  if (index < kFirstSlots) return reinterpret_cast<Slot*>(base_ + kSlotsOffset) + index;
  const uint32_t beyond = index - kFirstSlots;
  char* chunk = __atomic_load_n(&chunks_[beyond / kChunkSlots], __ATOMIC_ACQUIRE);
  return chunk == nullptr ? nullptr : reinterpret_cast<Slot*>(chunk) + beyond % kChunkSlots;
}

bool SegmentMemory::ensure(uint32_t index) {
  if (index >= kMaxSlots) return false;
  if (index >= kFirstSlots && !ensure_chunk((index - kFirstSlots) / kChunkSlots)) return false;
  return promised(&slot(index)->now, kShardBytes);
}

bool SegmentMemory::ensure_before(Slot* slot) const { return promised(&slot->before, kShardBytes); }

bool SegmentMemory::promised(const void* at, size_t bytes) const {
  if (!is_file_) return true;
  const auto offset = static_cast<size_t>(static_cast<const char*>(at) - base_);
  if (offset + bytes <= (all_first_promised_ ? kFirstBytes : kPromisedSlots) && offset >= kSlotsOffset) return true;
  return kernel::set_aside(const_cast<void*>(at), bytes);
}

bool SegmentMemory::ensure_timeline() const {
  if (!is_file_ || all_first_promised_) return true;
  return kernel::set_aside(base_ + kTimelineOffset, kArenasOffset - kTimelineOffset);
}

bool SegmentMemory::ensure_arenas() const {
  if (!is_file_ || all_first_promised_) return true;
  return kernel::set_aside(base_ + kArenasOffset, kSlotsOffset - kArenasOffset);
}

// Maps 16 more slots. A file's chunk is a second mapping of the file that starts with the last
// page of what lies before it; two threads may do so at once, and one of them takes it back.
bool SegmentMemory::ensure_chunk(uint32_t chunk) {
  if (__atomic_load_n(&chunks_[chunk], __ATOMIC_ACQUIRE) != nullptr) return true;
  if (chunk != 0 && !ensure_chunk(chunk - 1)) return false;
  char* mapped = nullptr;
  if (is_file_) {
    const char* end = chunk == 0 ? base_ + kFirstBytes : chunks_[chunk - 1] + kChunkBytes;
    const long again = kernel::call(__NR_mremap, kernel::as_long(end - kPage), 0, kPage + kChunkBytes, MREMAP_MAYMOVE);
    if (again < 0 && again > -4096) return false;
    mapped = reinterpret_cast<char*>(again) + kPage;
  } else {
    mapped = static_cast<char*>(kernel::map(kChunkBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
    if (mapped == nullptr) return false;
  }
  char* none = nullptr;
  if (!__atomic_compare_exchange_n(&chunks_[chunk], &none, mapped, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    kernel::unmap(is_file_ ? mapped - kPage : mapped, kChunkBytes + (is_file_ ? kPage : 0));
  }
  return true;
}

}  // namespace heapster::preload
