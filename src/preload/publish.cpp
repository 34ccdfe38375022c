// SPDX-License-Identifier: MIT
//
// The peak. While one thread is all there is, the `ceiling` of the shard that it writes to is its high-water mark, and
// exact; scopes hand the distance to it on (scopes.cpp). With
// more threads, no word says what lives in the whole process: each shard publishes its net word only when that
// leaves the band of kPublishBound around what it published last, so the published sum may be off by
// that much per shard, and a maximum taken of it could be far too high (threads that only free, each
// just inside its band). So the published sum only decides whether a look is worth while; the
// peak is raised to the sum of the net words themselves, and what may have been missed between
// two looks is kept as its error.
//
// The pace. Steps also feed the timeline, which wants about one per tick of the coarse clock, however
// fast a thread allocates: a shard doubles the bytes between its steps when two fall into one tick,
// and halves them when they come seldom. A step that is due for a sample only leaves it at that.
//
// The live-by-size table at the peak is copied when live bytes exceed those of the last copy by
// 1/64: a few hundred copies on the way from a kilobyte to a gigabyte.

#include "preload/publish.h"

#include "preload/clock.h"
#include "preload/libc.h"
#include "preload/process.h"
#include "preload/recorder.h"
#include "preload/sampler.h"
#include "preload/segment_memory.h"
#include "preload/size_lines.h"
#include "preload/words.h"

namespace heapster::preload {

namespace {

constexpr uint64_t kSlowestPace = 1024 * 1024;  // bytes
constexpr uint64_t kSeldom = 4 * kTick;

constinit uint32_t table_lock = 0;
constinit uint32_t timeline_lock = 0;
constinit int64_t recent_peak = 0;  // highest Σ net since several threads are measured, or since begin_peak()
constinit uint64_t next_point = 0;

// A tmpfs page costs a starting process some microseconds, and most never fill one page of points. The
// rest of the timeline is asked for when that is full: the one system call after the start, and not
// made in a program that restricts its own.
constexpr uint32_t kFirstPoints = SegmentMemory::kPage / sizeof(TimelinePoint);
constinit uint32_t room_for_points = kFirstPoints;

Published& published() { return segment.header()->published; }

void add_to(Cell& sum, const Cell& cell) {
  sum.count += cell.count;
  sum.bytes += cell.bytes;
}

// Copies the live-by-size table where live bytes have grown enough since the last copy.
void keep_table(int64_t live, uint64_t now) {
  Published& shown = published();
  if (live <= load(shown.table_live) + load(shown.table_live) / 64 + kTableGrain) return;
  const TryLock lock(table_lock);
  if (!lock) return;
  HEAPSTER_ASIDE static constinit Cell cells[kBuckets] = {};  // the lock's; too large for a small stack
  sum_live_cells(cells);
  auto* table = segment.at<Cell>(kLiveAtPeakOffset);
  for (uint32_t i = 0; i < kBuckets; ++i) table[i] = cells[i];
  keep_stacks_at_peak();
  store(shown.table_live, live);
  store(shown.table_time, now);
}

// How far the only thread is below its highest level.
int64_t solo_headroom() {
  int64_t least = kNoCeiling;
  each_shard([&](const Shard& shard) {
    const int64_t ceiling = load(shard.ceiling);
    const int64_t headroom = ceiling == kNoCeiling ? ceiling : ceiling - load(shard.net);
    if (headroom < least) least = headroom;
  });
  return least == kNoCeiling ? 0 : least;
}

void raise_solo_peak(int64_t headroom, uint64_t now) {
  Published& shown = published();
  const int64_t live = sum_net();
  if (live + headroom <= load(shown.solo_peak)) return;
  store(shown.solo_peak, live + headroom);
  store(shown.peak_time, now);
  keep_table(live, now);
}

void raise_peak(int64_t estimate, uint64_t now) {
  Published& shown = published();
  const int64_t bound = load(shown.slots_owned) * kPublishBound;
  if (estimate + bound <= load(recent_peak)) return;
  const int64_t live = sum_net();
  Together::raise(recent_peak, live);
  if (estimate + bound <= load(shown.peak)) return;
  Together::raise(shown.peak_error, bound);
  if (live <= load(shown.peak)) return;
  Together::raise(shown.peak, live);
  if (live > load(shown.solo_peak)) store(shown.peak_time, now);
  keep_table(live, now);
}

// What a shard had published, and now `net` is; of a shared shard only one thread may take it.
int64_t take_published(Shard* shard, int64_t net) {
  if (shard->role == static_cast<uint32_t>(Role::kShared)) {
    return __atomic_exchange_n(&shard->published, net, __ATOMIC_RELAXED);
  }
  const int64_t before = load(shard->published);
  store(shard->published, net);
  return before;
}

void publish(Shard* shard, uint64_t now) {
  const int64_t net = load(shard->net);
  const int64_t before = take_published(shard, net);
  store(shard->ceiling, net + kPublishBound);
  store(shard->floor, net - kPublishBound);
  const int64_t estimate = __atomic_add_fetch(&published().live, net - before, __ATOMIC_RELAXED);
  if (net > before) raise_peak(estimate, now);
}

// How many bytes to allocate until the next step. Others may be at it, too, on a shared shard.
int64_t next_pace(Shard* shard, uint64_t now) {
  const uint64_t before = load(shard->stepped);
  const uint64_t since = now > before ? now - before : 0;
  uint64_t pace = load(shard->pace);
  if (since == 0 && pace < kSlowestPace) pace *= 2;
  if (since > kSeldom && pace > kQuickestPace) pace /= 2;
  if (pace == 0) pace = kQuickestPace;
  store(shard->pace, pace);
  store(shard->stepped, now);
  return static_cast<int64_t>(pace);
}

TimelinePoint* timeline() { return segment.at<TimelinePoint>(kTimelineOffset); }

// Every other point goes, and the interval doubles.
void thin_out(Section& section) {
  TimelinePoint* points = timeline();
  for (uint32_t i = 0; i < room_for_points / 2; ++i) points[i] = points[2 * i];
  store(section.used, uint64_t{room_for_points / 2});
  store(published().interval, load(published().interval) * 2);
}

void ask_for_room() {
  if (room_for_points == kFirstPoints && !load(process.silent) && segment.ensure_timeline())
    room_for_points = kTimelinePoints;
}

// A reader takes the points only if the stamp was even and the same before and after.
void add_point(uint64_t now) {
  Published& shown = published();
  Section& section = segment.header()->sections[kTimelineSection];
  if (shown.interval == 0) store(shown.interval, kTick);
  const Totals totals = sum_totals();
  __atomic_fetch_add(&shown.timeline_stamp, 1u, __ATOMIC_ACQ_REL);
  if (section.used == kFirstPoints) ask_for_room();
  if (section.used == room_for_points) thin_out(section);
  timeline()[section.used] = {
      .time = static_cast<int64_t>(now),
      .use_curr = totals.live_bytes + segment.header()->at_fork.live_bytes,
      .alloc_count = static_cast<int64_t>(totals.alloc.count),
      .alloc_sum = static_cast<int64_t>(totals.alloc.bytes),
      .dealloc_count = static_cast<int64_t>(totals.dealloc.count),
      .realloc_move_sum = static_cast<int64_t>(totals.move_bytes),
  };
  store(section.used, section.used + 1);
  __atomic_fetch_add(&shown.timeline_stamp, 1u, __ATOMIC_RELEASE);
  store(next_point, now + shown.interval);
}

void tick(uint64_t now) {
  if (now == 0 || now < load(next_point)) return;
  const TryLock lock(timeline_lock);
  if (lock && now >= load(next_point)) add_point(now);
}

}  // namespace

int64_t sum_net() {
  int64_t sum = 0;
  each_shard([&](const Shard& shard) { sum += load(shard.net); });
  return sum;
}

void step(Shard* shard, void* block, const Caller& caller) {
  if (is_sampling() && step_to_sample(shard, block, caller)) return;
  const uint64_t now = since_start(coarse_time());
  const int64_t pace = next_pace(shard, now);
  store(shard->countdown, grant(shard, pace));
  if (load(gate.several) != 0) {
    publish(shard, now);
  } else {
    store(shard->floor, load(shard->net) - pace);
    raise_solo_peak(load(shard->ceiling) - load(shard->net), now);
  }
  store(published().time, now);
  tick(now);
}

void publish_all(Shard* shard) {
  if (load(gate.several) != 0) publish(shard, since_start(coarse_time()));
}

void leave_solo() {
  if (load(gate.several) != 0) return;
  const int64_t headroom = solo_headroom();
  raise_solo_peak(headroom, since_start(coarse_time()));
  store(recent_peak, sum_net() + headroom);
  // Its owner publishes at its next call; until then, which may be never, this is what each of its shards holds.
  each_shard([](Shard& shard) {
    const int64_t net = load(shard.net);
    store(shard.published, net);
    store(shard.floor, net - kPublishBound);
    __atomic_add_fetch(&published().live, net, __ATOMIC_RELAXED);
  });
  store(published().several, 1u);
  store(gate.several, 1u);
  each_shard([](Shard& shard) { store(shard.countdown, int64_t{0}); });
}

int64_t begin_peak() {
  int64_t before;
  if (load(gate.several) != 0) {
    before = load(recent_peak);
    store(recent_peak, sum_net());
    return before;
  }
  const int64_t headroom = solo_headroom();
  before = sum_net() + headroom;
  raise_solo_peak(headroom, since_start(coarse_time()));
  if (Shard* shard = own_shard()) store(shard->ceiling, load(shard->net));
  return before;
}

int64_t end_peak(int64_t before) {
  const int64_t peak = highest_live();
  if (load(gate.several) != 0) {
    Together::raise(recent_peak, before);
  } else if (Shard* shard = own_shard(); shard != nullptr && before > peak) {
    raise_solo_peak(solo_headroom(), since_start(coarse_time()));
    store(shard->ceiling, load(shard->net) + before - sum_net());
  }
  return peak;
}

int64_t highest_live() {
  const int64_t live = sum_net();
  if (load(gate.several) == 0) return live + solo_headroom();
  const int64_t recent = load(recent_peak);
  return recent > live ? recent : live;
}

int64_t live_bytes() { return sum_net() + segment.header()->at_fork.live_bytes; }

int64_t most_live_bytes() {
  if (__atomic_load_n(&gate.several, __ATOMIC_ACQUIRE) == 0) return live_bytes();
  const auto shards = static_cast<int64_t>(load(slots_section().used));
  return load(published().live) + segment.header()->at_fork.live_bytes + 2 * shards * kPublishBound;
}

Totals sum_totals() {
  Totals totals{};
  each_shard([&](const Shard& shard) {
    totals.live_bytes += load(shard.net);
    for (uint32_t i = 0; i < kBuckets; ++i) {
      const SizeLine line = size_line(shard, i);
      add_to(totals.alloc, line.alloc);
      add_to(totals.dealloc, line.dealloc);
      totals.move_bytes += load(shard.reallocs[i].realloc_move.bytes);
    }
  });
  return totals;
}

void sum_live_cells(Cell (&cells)[kBuckets]) {
  memcpy(cells, segment.at<Cell>(kLiveAtForkOffset), sizeof cells);
  each_shard([&](const Shard& shard) {
    for (uint32_t i = 0; i < kBuckets; ++i) add_to(cells[i], living(size_line(shard, i)));
  });
}

void restart_publishing() {
  table_lock = 0;
  timeline_lock = 0;
  next_point = 0;
  room_for_points = kFirstPoints;
  recent_peak = 0;
}

void finish_publishing() {
  const uint64_t now = since_start(coarse_time_of_kernel());  // a short program never looked for the quick one
  if (load(gate.several) == 0) raise_solo_peak(solo_headroom(), now);
  store(published().time, now);
  const TryLock lock(timeline_lock);
  if (lock && now != 0) add_point(now);
}

}  // namespace heapster::preload
