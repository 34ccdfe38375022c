// SPDX-License-Identifier: MIT

#include "preload/count/timeline.h"

#include "preload/base/clock.h"
#include "preload/base/kernel.h"
#include "preload/base/process_state.h"
#include "preload/base/quick_clock.h"
#include "preload/base/words.h"
#include "preload/count/totals.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/step.h"

namespace heapster::preload {

namespace {

constinit uint32_t timeline_lock = 0;
constinit int64_t last_level = 0;  // Σ net at the last timed step
constinit uint64_t next_point = 0;

// A tmpfs page costs a starting process some microseconds, and most never fill one page of points. The
// rest of the timeline is asked for when that is full: the one system call after the start, and not
// made in a program that restricts its own.
constexpr uint32_t kFirstPoints = kernel::kPage / sizeof(TimelinePoint);
constinit uint32_t room_for_points = kFirstPoints;

Published& published() { return segment.header()->published; }

TimelinePoint* timeline() { return segment.at<TimelinePoint>(kTimelineOffset); }

// The interval doubles until enough points go: of those in one interval the last one stays, which tells the level that
// it ended with.
void thin_out(Section& section) {
  TimelinePoint* points = timeline();
  uint64_t left = section.used;
  while (left > room_for_points * 3 / 4) {
    const auto interval = static_cast<int64_t>(load(published().interval) * 2);
    store(published().interval, static_cast<uint64_t>(interval));
    const uint64_t before = left;
    left = 0;
    for (uint64_t i = 0; i < before; ++i) {
      if (i + 1 == before || points[i].time / interval != points[i + 1].time / interval) points[left++] = points[i];
    }
  }
  store(section.used, left);
}

void ask_for_room() {
  if (room_for_points == kFirstPoints && !load(process.silent) && segment.ensure_timeline())
    room_for_points = kTimelinePoints;
}

void append_point(Section& section, const Totals& totals, uint64_t time, int64_t level) {
  if (section.used == kFirstPoints) ask_for_room();
  if (section.used == room_for_points) thin_out(section);
  timeline()[section.used] = {
      .time = static_cast<int64_t>(time),
      .use_curr = level + segment.header()->at_fork.live_bytes,
      .alloc_count = static_cast<int64_t>(totals.alloc.count),
      .alloc_sum = static_cast<int64_t>(totals.alloc.bytes),
      .dealloc_count = static_cast<int64_t>(totals.dealloc.count),
      .realloc_copy_sum = static_cast<int64_t>(totals.copied_bytes),
  };
  store(section.used, section.used + 1);
}

// When the process rested, from the last step until now, its level stayed what it was: a point says when that began,
// in place of one that was made within the same tick. Its counts are those of now, less than one step more. A reader
// takes the points only if the stamp was even and the same before and after.
void add_points(uint64_t now) {
  Published& shown = published();
  Section& section = segment.header()->sections[kTimelineSection];
  if (shown.interval == 0) store(shown.interval, kTick);
  const uint64_t last = load(shown.time);
  const uint64_t shown_until = section.used != 0 ? static_cast<uint64_t>(timeline()[section.used - 1].time) : 0;
  const Totals totals = sum_changed_totals();
  __atomic_fetch_add(&shown.timeline_stamp, 1u, __ATOMIC_ACQ_REL);
  if (last >= shown_until && now > last + shown.interval) {
    if (last == shown_until && section.used != 0) store(section.used, section.used - 1);
    append_point(section, totals, last, load(last_level));
  }
  append_point(section, totals, now, totals.live_bytes);
  __atomic_fetch_add(&shown.timeline_stamp, 1u, __ATOMIC_RELEASE);
}

// Where there are many shards, points are no oftener than their share of the time allows.
void add_points_if_due(uint64_t now) {
  if (now == 0 || now < load(next_point)) return;
  const TryLock lock(timeline_lock);
  if (!lock || now < load(next_point)) return;
  const bool many = shards() > kFewShards && may_look_at_counter();
  const uint64_t begun = many ? fine_time() : 0;
  add_points(now);
  const uint64_t taken = many ? (fine_time() - begun) * kShareOfTime : 0;
  const uint64_t interval = load(published().interval);
  store(next_point, now + (taken > interval ? taken : interval));
}

}  // namespace

void tick(uint64_t now, int64_t level) {
  add_points_if_due(now);
  store(published().time, now);
  store(last_level, level);
}

void end_timeline(uint64_t now) {
  const TryLock lock(timeline_lock);
  if (lock && now != 0) add_points(now);
  store(published().time, now);
}

void restart_timeline() {
  timeline_lock = 0;
  last_level = 0;
  next_point = 0;
  room_for_points = kFirstPoints;
  forget_totals();
}

}  // namespace heapster::preload
