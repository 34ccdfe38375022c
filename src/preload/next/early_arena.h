// SPDX-License-Identifier: MIT
//
// Memory for calls that arrive while the next allocator is still being looked up: dlsym itself
// allocates on some libcs, and then there is nobody to forward to. Blocks are never reused;
// 64 KiB serve thousands of such calls where real ones make a handful.
//
// Each block has the header of a glibc chunk with the "mmapped" bit set, so that the hot path,
// which reads that header, turns such a block over to the slow path without a test of its own.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/words.h"

namespace heapster::preload {

class EarlyArena {
 public:
  // Null when it is used up, as malloc would.
  void* take(size_t size, size_t alignment = kAlignment) {
    if (size > sizeof bytes_ || alignment > sizeof bytes_) return nullptr;
    if (alignment < kAlignment) alignment = kAlignment;
    const size_t room = kAlignment + alignment + ((size + kAlignment - 1) & ~(kAlignment - 1));
    const size_t start = __atomic_fetch_add(&used_, room, __ATOMIC_RELAXED);
    if (start + room > sizeof bytes_) return nullptr;
    const uintptr_t at = (reinterpret_cast<uintptr_t>(bytes_) + start + kAlignment + alignment - 1) & ~(alignment - 1);
    auto* header = reinterpret_cast<uint64_t*>(at) - 1;
    *header = (((size + kAlignment - 1) & ~(kAlignment - 1)) + 2 * sizeof(uint64_t)) | kMmapped;
    return reinterpret_cast<void*>(at);
  }

  bool owns(const void* block) const {
    return reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(bytes_) < sizeof bytes_;
  }

  // Usable bytes of a block of ours.
  static size_t usable(const void* block) {
    return (static_cast<const uint64_t*>(block)[-1] & ~uint64_t{7}) - 2 * sizeof(uint64_t);
  }

  // Copies what a block of ours held, where it went to another size. Not memcpy, which is out of reach
  // before our relocation.
  static void copy(void* to, const void* block, size_t size) {
    auto* target = static_cast<volatile char*>(to);
    for (size_t i = 0; i < size && i < usable(block); ++i) target[i] = static_cast<const char*>(block)[i];
  }

  bool used() const { return load(used_) != 0; }

 private:
  static constexpr size_t kAlignment = 16;
  static constexpr uint64_t kMmapped = 2;

  alignas(64) char bytes_[64 * 1024] = {};
  size_t used_ = 0;
};

HEAPSTER_LOCAL extern constinit EarlyArena early_arena;

}  // namespace heapster::preload
