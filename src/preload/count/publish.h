// SPDX-License-Identifier: MIT
//
// The publishing step: what a shard does rarely, behind its byte countdown, so that the hot path
// need not. It adds the change of the shard's net word to the process's published live bytes,
// raises the peak, copies the live-by-size table near the peak, and feeds the timeline.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/count/recorder.h"
#include "preload/count/timeline.h"
#include "preload/count/totals.h"

namespace heapster::preload {

// A shard's owner leaves it: publishes what it has not published yet, and its band.
void publish_all(Shard* shard);

// A thread takes a shard over: its first call makes a step.
void begin_publishing(Shard* shard);

// A scope's shard is written to again, by one of several threads; it may have been left when there was one.
void resume_publishing(Shard* shard);

// How far the told peak may be off: the true one lies within that of it. 0 where it is exact.
int64_t peak_error();

// Looks at every shard, whatever that costs, so that the peak is not below what lives now. For snapshots.
void look_for_snapshot();

// A second thread comes in: from now on the peak is a sum over shards.
void leave_solo();

// The highest that the process's own live bytes were; from begin_peak() on since then. end_peak gives the highest of
// the stretch, and takes what begin_peak returned. All without what lived at a fork.
int64_t highest_live();
int64_t begin_peak();
int64_t end_peak(int64_t before);

// Live bytes of the process, with what lived at the fork: true but for what threads are counting at this moment.
int64_t live_bytes();

// Not less than that, without a look at every shard; with room for a block of kPublishBound more in each thread.
int64_t most_live_bytes();

// In a fork's child: nothing was published yet, and no lock is held.
void restart_publishing();

// The end's numbers: the peak, and the last point of the timeline.
void finish_publishing();

}  // namespace heapster::preload
