// SPDX-License-Identifier: MIT
//
// What changed from one snapshot to a later one. Counts and sums are subtracted; a level is not,
// so the later one stands as it is and its change is told besides. Scopes and arenas pair up by their names.

#pragma once

#include "reader/result.h"
#include "reader/snapshot.h"

namespace heapster::reader {

struct Change {
  Stats flow;    // counts of b minus those of a; `use` and `live_at_fork` are b's
  Stats before;  // a
  Stats after;   // b
};

// Which of the snapshots has it. Where it is not there, it did nothing yet: its figures are 0.
enum class There { kBoth, kOnlyBefore, kOnlyAfter };

struct ScopeChange {
  std::string path;
  There there;
  Change own;    // without the scopes inside it
  Change whole;  // with them
};

struct ArenaChange {
  There there;
  Arena flow;  // what grows, b's minus a's; states are b's
  Arena before;
  Arena after;
};

struct Diff : Change {
  double seconds = 0;
  std::vector<ScopeChange> scopes = {};  // by path, those of either snapshot
  std::vector<ArenaChange> arenas = {};  // by name
};

// Refuses snapshots of different processes unless it is told to compare runs.
Result<Diff> diff(const Snapshot& a, const Snapshot& b, bool runs);

}  // namespace heapster::reader
