// SPDX-License-Identifier: MIT
//
// The file behind the segment: its directory, its name, and who its process descends from. Names are
// `<pid-namespace>-<pid>-<start ticks>`: an exec keeps all three, so that the new image finds the old image's segment
// under its own name.

#pragma once

#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

// Opens or creates the run directory: ours, closed to others, on a tmpfs, and no link on the way. Negative with a note
// where it is not.
int open_run_directory();

// Whether anything is in the directory.
bool has_segments(int directory);

// Creates this process's segment in the directory and maps it into `segment`. Its descriptor, for what else is mapped
// from it; whoever asked closes it. Negative with a note where that cannot be had.
int create_segment_file(int directory, const Identity& identity);

// Whether an ancestor is being measured; then the nearest such is told.
bool find_measured_ancestor(int directory, const Identity& identity, uint32_t& pid, uint64_t& ticks);

// Removes this process's segment file.
void remove_segment_file(const Identity& identity);

}  // namespace heapster::preload
