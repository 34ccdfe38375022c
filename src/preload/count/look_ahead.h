// SPDX-License-Identifier: MIT
//
// Headers are fetched before they are read. glibc itself does not read the header of a block that comes from the
// thread's cache, which is a miss of ours alone where header and block lie on two cache lines. But the first word of
// such a block still tells which one that cache gives next, and the time until then is long enough
// (docs/decisions/0019).

#pragma once

#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/words.h"

namespace heapster::preload {

// Of a small block that glibc has just given. glibc wrote what follows it, so that its page is there. The word is
// mangled by its own address, since glibc 2.32. Whatever else it is, of a block from elsewhere or of an older glibc: a
// fetch from anywhere does no harm, and asking whether it is an address costs more (docs/decisions/0022).
HEAPSTER_HOT void fetch_header_of_next(const void* block) {
  const uintptr_t there = glance(*static_cast<const uintptr_t*>(block)) ^ reinterpret_cast<uintptr_t>(block) >> 12;
  __builtin_prefetch(reinterpret_cast<const void*>(there - sizeof(uint64_t)));
}

}  // namespace heapster::preload
