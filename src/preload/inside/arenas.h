// SPDX-License-Identifier: MIT
//
// What a program's own arenas tell of themselves, in a table of the segment. The program never gets a pointer into
// that: a fork's child would write to its parent's.

#pragma once

#include <cstdint>

#include "heapster/interface.h"

namespace heapster::preload {

// Bytes asked of an arena, or of upstream by it; below zero: given back; 0: nothing. From any thread.
void arena_asked(heapster_arena_handle& arena, int64_t bytes);
void arena_upstream(heapster_arena_handle& arena, int64_t bytes);
// The arena was emptied at once: so much of what was asked of it is given back. Others of its name may have the rest.
void arena_reset(heapster_arena_handle& arena, uint64_t blocks, uint64_t bytes);

}  // namespace heapster::preload
