// SPDX-License-Identifier: MIT

#include "preload/growing_memory.h"

#include "preload/kernel.h"
#include "preload/process.h"
#include "preload/segment_memory.h"
#include "preload/words.h"

namespace heapster::preload {

// 104 TiB: above what V8, Go, mimalloc and Java's collectors ask for, and above executables and their heaps, which
// stay the first ones in /proc/self/maps; below what the kernel maps by itself. Programs with a sanitizer's shadow are
// not measured. Spread over 1 TiB as the kernel spreads what it maps.
char* GrowingMemory::choose_place() {
  constexpr uint64_t kLowest = 0x680000000000;
  constexpr uint64_t kSpread = 0xfffffff000;
  const uint64_t any = reinterpret_cast<uint64_t>(segment.header()) ^ process.started * 0x9e3779b97f4a7c15;
  return reinterpret_cast<char*>(kLowest + (any & kSpread));
}

bool GrowingMemory::map(char* at, size_t bytes, int fd, size_t offset) {
  if (!kernel::map_at(at, bytes, fd, offset)) return false;
  at_ = at;
  store(bytes_, bytes);
  return true;
}

// Whether pages are there is what the attempt to have them promised tells. Of two threads that make it longer at once
// only one is right about how long it was; the other finds the pages there.
bool GrowingMemory::reach(size_t from, size_t to, size_t most) {
  constexpr size_t kPage = SegmentMemory::kPage;
  constexpr int kTries = 3;
  to = (to + kPage - 1) & ~(kPage - 1);
  for (int i = 0; i < kTries; ++i) {
    if (kernel::populate(at_ + from, to - from) == 0) return true;
    size_t bytes = load(bytes_);
    if (to <= bytes) return false;  // it is there, and the kernel has no page for it
    size_t more = 2 * bytes < most ? 2 * bytes : most;
    if (more < to) more = to;
    if (kernel::lengthen(at_, bytes, more)) store(bytes_, more);
  }
  return kernel::populate(at_ + from, to - from) == 0;
}

void GrowingMemory::give_back() {
  if (at_ != nullptr) kernel::unmap(at_, bytes_);
  at_ = nullptr;
  bytes_ = 0;
}

}  // namespace heapster::preload
