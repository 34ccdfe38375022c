// SPDX-License-Identifier: MIT
//
// Headers are fetched before they are read. glibc itself does not read the header of a block that comes from the
// thread's cache, which is a miss of ours alone where header and block lie on two cache lines. But the first word of
// such a block still tells which one that cache gives next, and the time until then is long enough
// (docs/decisions/0019).

#pragma once

#include <cstdint>

#include "preload/attributes.h"
#include "preload/words.h"

namespace heapster::preload {

// Of a small block that glibc has just given. glibc wrote what follows it, so that its page is there. The word is
// mangled by its own address, since glibc 2.32. Whatever else it is, of a block from elsewhere or of an older glibc, is
// mostly too far away, and a fetch from anywhere does no harm.
HEAPSTER_HOT void fetch_header_of_next(const void* block) {
  constexpr int kReach = 34;  // 16 GiB
  const auto here = reinterpret_cast<uintptr_t>(block);
  const uintptr_t there = glance(*static_cast<const uintptr_t*>(block)) ^ here >> 12;
  const bool near = (there ^ here) >> kReach == 0;
  if (HEAPSTER_LIKELY(near)) __builtin_prefetch(reinterpret_cast<const uint64_t*>(there) - 1);
}

}  // namespace heapster::preload
