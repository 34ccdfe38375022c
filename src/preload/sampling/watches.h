// SPDX-License-Identifier: MIT
//
// Watches: what happens to sampled blocks for a while, by stack; of one thread, or of all. A test takes one around what
// it measures, to be able to name who allocated where it fails. They are the sampler's, which tells them of each
// sample; so they cost what is not sampled nothing.

#pragma once

#include <cstddef>
#include <cstdint>

#include "heapster/interface.h"
#include "preload/base/attributes.h"

namespace heapster::preload {

// A watch on what the calling thread does from now on, or on what everyone does; 0 where there is none to be had.
uint64_t begin_watch(bool everyone);
// Ends the gathering, and tells how many sites there are, and so many of them.
size_t watched(uint64_t watch, heapster_site* into, size_t room);
// Gives the watch back.
void end_watch(uint64_t watch);

// What the calling thread did to blocks of a stack; blocks in 256ths.
struct Done {
  uint64_t alloc_count = 0;
  uint64_t alloc_bytes = 0;
  uint64_t growth_count = 0;  // calls
  uint64_t freed_count = 0;
  uint64_t freed_bytes = 0;
};
void tell_each_watch(uint32_t stack, const Done& done);

// No process that never had a watch has any.
struct Watch;
HEAPSTER_LOCAL extern constinit Watch* watches;
inline void tell_watches(uint32_t stack, const Done& done) {
  if (HEAPSTER_UNLIKELY(__atomic_load_n(&watches, __ATOMIC_RELAXED) != nullptr)) tell_each_watch(stack, done);
}

}  // namespace heapster::preload
