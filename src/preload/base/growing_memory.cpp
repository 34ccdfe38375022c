// SPDX-License-Identifier: MIT

#include "preload/base/growing_memory.h"

#include "preload/base/kernel.h"
#include "preload/base/process_state.h"
#include "preload/base/words.h"

namespace heapster::preload {

// 104 TiB: above what V8, Go, mimalloc and Java's collectors ask for, and above executables and their heaps, which
// stay the first ones in /proc/self/maps; below what the kernel maps by itself. Programs with a sanitizer's shadow are
// not measured. Spread over 1 TiB as the kernel spreads what it maps.
char* GrowingMemory::choose_place() {
  constexpr uint64_t kLowest = 0x680000000000;
  constexpr uint64_t kSpread = 0xfffffff000;
  const uint64_t any = reinterpret_cast<uint64_t>(&process) ^ process.started * 0x9e3779b97f4a7c15;
  return reinterpret_cast<char*>(kLowest + (any & kSpread));
}

bool GrowingMemory::map(char* at, size_t bytes, int fd, size_t offset) {
  if (!kernel::map_at(at, bytes, fd, offset)) return false;
  at_ = at;
  is_file_ = fd >= 0;
  store(bytes_, bytes);
  return true;
}

// How long it is only its own account tells: what lies behind it may be somebody else's. One thread makes it longer at
// a time; the others give it a moment, which is all that they can do where they are in a signal's handler of it.
bool GrowingMemory::lengthen(size_t to, size_t most) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries && to > load(bytes_); ++i) {
    const TryLock lock(growing_);
    const size_t bytes = load(bytes_);
    if (!lock) {
      kernel::call(__NR_sched_yield);
    } else if (to > bytes) {
      size_t more = 2 * bytes < most ? 2 * bytes : most;
      if (more < to) more = to;
      if (!kernel::lengthen(at_, bytes, more)) return false;
      store(bytes_, more);
    }
  }
  return to <= load(bytes_);
}

bool GrowingMemory::reach(size_t from, size_t to, size_t most) {
  using kernel::kPage;
  to = (to + kPage - 1) & ~(kPage - 1);
  return lengthen(to, most) && (!is_file_ || kernel::set_aside(at_ + from, to - from));
}

void GrowingMemory::give_back() {
  if (at_ != nullptr) kernel::unmap(at_, bytes_);
  *this = {};
}

}  // namespace heapster::preload
