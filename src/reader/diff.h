// SPDX-License-Identifier: MIT
//
// What changed from one snapshot to a later one. Counts and sums are subtracted; a level is not,
// so the later one stands as it is and its change is told besides.

#pragma once

#include "reader/result.h"
#include "reader/snapshot.h"

namespace heapster::reader {

struct Diff {
  Stats flow;    // counts of b minus those of a; `use` and `live_at_fork` are b's
  Stats before;  // a
  Stats after;   // b
  double seconds = 0;
};

// Refuses snapshots of different processes unless it is told to compare runs.
Result<Diff> diff(const Snapshot& a, const Snapshot& b, bool runs);

}  // namespace heapster::reader
