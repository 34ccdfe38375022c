// SPDX-License-Identifier: MIT
//
// The subtraction itself is in stats.cpp; here is what may be subtracted from what. Within one
// process time passes from a to b, between two runs it does not, and so there is no rate.

#include "reader/diff.h"

namespace heapster::reader {

Result<Diff> diff(const Snapshot& a, const Snapshot& b, bool runs) {
  const bool same = same_process(a.process, b.process);
  if (!same && !runs) return Error{"these are snapshots of different processes; --runs compares two runs"};
  Diff result{b.stats, a.stats, b.stats, same ? b.process.duration - a.process.duration : 0};
  subtract(result.flow, a.stats);
  return result;
}

}  // namespace heapster::reader
