// SPDX-License-Identifier: MIT
//
// The publishing step: what a shard does rarely, behind its byte countdown, so that the hot path
// need not. It adds the change of the shard's net word to the process's published live bytes,
// raises the peak, copies the live-by-size table near the peak, and feeds the timeline.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/recorder.h"

namespace heapster::preload {

inline constexpr uint64_t kTick = 4'000'000;  // nanoseconds; of the coarse clock
inline constexpr uint64_t kQuickestPace = 16 * 1024;
inline constexpr int64_t kTableGrain = 32 * 1024;

// Whether the level is so far from where it was at the last step that others ought to know, or the table at the peak.
inline bool has_strayed(const Shard* shard) {
  const int64_t net = load(shard->net);
  const int64_t floor = load(shard->floor);
  const int64_t band = load(gate.several) != 0 ? kPublishBound : static_cast<int64_t>(load(shard->pace));
  return net < floor || net > floor + band + kTableGrain;
}

// Publishes whatever a shard has not published yet.
void publish_all(Shard* shard);

// A second thread comes in: from now on the peak is a sum over shards.
void leave_solo();

// Live bytes of the process's own, and the highest they were; from begin_peak() on since then. end_peak gives the
// highest of the stretch, and takes what begin_peak returned. All without what lived at a fork.
int64_t sum_net();
int64_t highest_live();
int64_t begin_peak();
int64_t end_peak(int64_t before);

// Sum over the shards of one kind of cells, per process.
struct Totals {
  int64_t live_bytes;  // Σ net
  Cell alloc;
  Cell dealloc;
  uint64_t move_bytes;
};
Totals sum_totals();

// Live blocks by usable size, and what lived at the fork besides.
void sum_live_cells(Cell (&cells)[kBuckets]);

// Live bytes of the process, with what lived at the fork: true but for what threads are counting at this moment.
int64_t live_bytes();

// Not less than that, without a look at every shard; with room for a small block more in each thread.
int64_t most_live_bytes();

// In a fork's child: nothing was published yet, and no lock is held.
void restart_publishing();

// The end's numbers: the peak, and the last point of the timeline.
void finish_publishing();

}  // namespace heapster::preload
