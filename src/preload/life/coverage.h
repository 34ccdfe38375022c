// SPDX-License-Identifier: MIT
//
// How much of the program's memory the hooks see, as notes in the segment.

#pragma once

#include "preload/next/next.h"

namespace heapster::preload {

// At the start.
void note_coverage(const NextFacts& facts);

// At the end, or at a dump: what the program loaded meanwhile may be out of our reach. Not in a fork's child: whoever
// held the loader's lock at the fork is not there to release it.
void note_latecomers();

// In a fork's child: notes about the next allocator hold for it as well.
void note_coverage_again();

}  // namespace heapster::preload
