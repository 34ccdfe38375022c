// SPDX-License-Identifier: MIT
//
// Builds this process's segment: finds its place, fills header, texts and schema.

#pragma once

#include "layout/segment.h"

namespace heapster::preload {

struct Origin {
  Start start;
  uint32_t parent_pid;  // of a fork's child: who forked
  uint64_t parent_ticks;
  AtFork at_fork;
};

// Makes a segment, in a file or else in private memory. False where there is nothing to count
// into, or where the options say that this process is not to be measured.
bool build_segment(const Origin& origin);

// What is said once per image: executable, command line, allocator, options.
void gather_lasting_texts(int argument_count, const char* const* arguments, const char* allocator);

}  // namespace heapster::preload
