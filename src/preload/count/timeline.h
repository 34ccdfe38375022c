// SPDX-License-Identifier: MIT
//
// The timeline: 512 points at most, at equal intervals that double when they are full.

#pragma once

#include <cstdint>

namespace heapster::preload {

// A timed step, at which `level` bytes of the process's own live: adds a point if one is due.
void tick(uint64_t now, int64_t level);

// The last point, at the end of the process.
void end_timeline(uint64_t now);

// In a fork's child: no point was made yet, and no lock is held.
void restart_timeline();

}  // namespace heapster::preload
