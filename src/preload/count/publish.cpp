// SPDX-License-Identifier: MIT
//
// The peak. While one thread is all there is, the `ceiling` of the shard that it writes to is its high-water mark, and
// exact; scopes hand the distance to it on (scopes.cpp).
//
// With more threads, no word says what lives in the whole process. Each shard publishes its net word when that leaves
// a band around what it published last, so that the sum of all that is published, plus all bands, is never below what
// lives: its highest value is a bound of the peak (Published::peak_bound), however the threads ran. The peak that is
// told is the highest sum of the net words that a look at every shard found. A look is made when the bound rises. Looks
// at many shards take time, and never more than 1 % of it; what they may have missed lies below the bound.
//
// The pace. Steps also feed the timeline, which wants about one per tick of the coarse clock, however fast a thread
// allocates: a shard doubles the bytes between its timed steps after 64 of them in one tick, and begins anew when it
// rested. A step that is due for a sample only leaves it at that, and one that only publishes asks for no time.
//
// The live-by-size table at the peak is copied when live bytes exceed those of the last copy by 1/64, or at all after
// they fell by as much: a few hundred copies on the way from a kilobyte to a gigabyte. The time of the peak is told by
// the same rule.

#include "preload/count/publish.h"

#include "preload/base/clock.h"
#include "preload/base/libc.h"
#include "preload/base/process_state.h"
#include "preload/base/quick_clock.h"
#include "preload/base/words.h"
#include "preload/count/recorder.h"
#include "preload/sampling/sampler.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/own_shard.h"
#include "preload/shard/step.h"

namespace heapster::preload {

namespace {

constexpr uint64_t kSlowestPace = 1024 * 1024;  // bytes
constexpr uint64_t kStepsOfOnePace = 64;        // in one tick
constexpr uint64_t kSeldom = 4 * kTick;
constexpr int64_t kLeastBand = 4 * 1024;
constexpr int64_t kTimeGrain = 4 * 1024;
constexpr int64_t kTableGrain = 16 * 1024;

constinit uint32_t table_lock = 0;
constinit int64_t bands = 0;                    // Σ band
constinit int64_t widest_band = kPublishBound;  // that a shard may have now
constinit int64_t recent_peak = 0;              // highest Σ net since several threads are measured, or begin_peak()
constinit int64_t recent_bound = 0;             // highest Σ (published + band) since then

// Work whose cost grows with how much there is to look at. It is put off where it would take more than its share of the
// time; where the processor's counter may not be read, it is not done at all.
struct Work {
  uint64_t not_before;  // in cycles
  uint32_t put_off;

  template <typename Do>
  void when_affordable(Do work) {
    if (!may_look_at_counter() || cycles() < load(not_before)) return store(put_off, 1u);
    store(put_off, 0u);
    const uint64_t begun = cycles();
    work();
    const uint64_t end = cycles();
    store(not_before, end + (end - begun) * kShareOfTime);
  }
};
constinit Work looks = {};
constinit Work copies = {};

// A height that live bytes reached. What rises from it by less than 1/64 is told as the same, unless they had fallen by
// as much before.
struct Height {
  int64_t level;
  int64_t low;  // lowest level since

  // What live bytes have to exceed to be told of anew.
  int64_t next(int64_t grain) const {
    const int64_t step = load(level) / 64 + grain;
    return load(low) < load(level) - step ? load(level) : load(level) + step;
  }
  bool is_passed_by(int64_t live, int64_t grain) const { return live > next(grain); }
  void move_to(int64_t live) {
    store(level, live);
    store(low, live);
  }
  void fall_to(int64_t live) {
    if (live < load(low)) store(low, live);
  }
};
constinit Height timed = {};
constinit Height copied = {};

Published& published() { return segment.header()->published; }

void copy_table(uint64_t now) {
  const TryLock lock(table_lock);
  if (!lock) return;
  const int64_t live = sum_net();
  HEAPSTER_ASIDE static constinit Cell cells[kBuckets] = {};  // the lock's; too large for a small stack
  sum_live_cells(cells);
  auto* table = segment.at<Cell>(kLiveAtPeakOffset);
  for (uint32_t i = 0; i < kBuckets; ++i) table[i] = cells[i];
  keep_stacks_at_peak();
  store(published().table_live, live);
  store(published().table_time, now);
  copied.move_to(live);
}

// Copies the live-by-size table where live bytes have grown enough since the last copy.
void keep_table(int64_t live, uint64_t now) {
  if (!copied.is_passed_by(live, kTableGrain)) return;
  if (shards() <= kFewShards && !is_sampling()) return copy_table(now);
  copies.when_affordable([=] { copy_table(now); });
}

// Live bytes were never higher than at this moment, or a little before it.
void tell_height(int64_t peak, int64_t live, uint64_t now) {
  if (timed.is_passed_by(peak, kTimeGrain)) {
    store(published().peak_since, load(published().time));
    store(published().peak_time, now);
    timed.move_to(peak);
  }
  keep_table(live, now);
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

int64_t raise_solo_peak(int64_t headroom, uint64_t now) {
  const int64_t live = sum_net();
  if (live + headroom > load(published().solo_peak)) {
    store(published().solo_peak, live + headroom);
    tell_height(live + headroom, live, now);
  }
  return live;
}

// Shards that publish during the look may be seen twice in parts: one before its frees, one after its allocations. What
// is published is as near to what lives as the bands are wide, and so is the bound to it.
void look() {
  Published& shown = published();
  const int64_t before = load(shown.live);
  int64_t live = sum_net();
  if (const int64_t after = load(shown.live); after != before && live > after) live = after;
  Together::raise(recent_peak, live);
  if (live <= load(shown.peak)) return;
  Together::raise(shown.peak, live);
  if (live > load(shown.solo_peak)) tell_height(live, live, since_start(coarse_time()));
}

void raise_bound(int64_t bound) {
  if (bound <= load(recent_bound) && load(looks.put_off) == 0) return;
  Together::raise(recent_bound, bound);
  Together::raise(published().peak_bound, bound);
  if (shards() <= kFewShards) return look();
  looks.when_affordable(look);
}

bool is_shared(const Shard* shard) { return shard->role == static_cast<uint32_t>(Role::kShared); }

// What a shard had published, and now `net` is; of a shared shard only one thread may take it.
int64_t take_published(Shard* shard, int64_t net) {
  if (is_shared(shard)) return __atomic_exchange_n(&shard->published, net, __ATOMIC_RELAXED);
  const int64_t before = load(shard->published);
  store(shard->published, net);
  return before;
}

void set_band(Shard* shard, int64_t band) {
  const int64_t before = __atomic_exchange_n(&shard->band, band, __ATOMIC_RELAXED);
  __atomic_fetch_add(&bands, band - before, __ATOMIC_RELEASE);
}

// Narrow at first, so that threads which hardly allocate leave the bound where it is.
int64_t next_band(Shard* shard) {
  const int64_t widest = load(widest_band);
  const int64_t band = load(shard->band);
  if (HEAPSTER_LIKELY(band == widest)) return band;
  const int64_t wider = band < kLeastBand ? kLeastBand : 2 * band;
  set_band(shard, wider < widest ? wider : widest);
  return load(shard->band);
}

// The bytes that were freed bring the next timed step nearer: else a thread that only frees would make none. What lies
// between two samples is not changed by that.
void pay_for_frees(Shard* shard, int64_t by) {
  if (is_shared(shard)) {
    Together::take(shard->countdown, by);
  } else {
    Alone::take(shard->countdown, by);
    shard->granted -= by;
  }
}

// The sum is raised before the shard may grow into its new band.
void publish(Shard* shard) {
  const int64_t net = load(shard->net);
  const int64_t before = take_published(shard, net);
  const int64_t band = next_band(shard);
  const int64_t sum = __atomic_add_fetch(&published().live, net - before, __ATOMIC_ACQ_REL);
  store(shard->ceiling, net + band);
  store(shard->floor, net - band);
  store(shard->look_at, INT64_MIN);
  if (net > before) {
    raise_bound(sum + __atomic_load_n(&bands, __ATOMIC_ACQUIRE));
  } else {
    pay_for_frees(shard, before - net);
  }
}

// How many bytes to allocate until the next timed step. Others may be at it, too, on a shared shard.
int64_t next_pace(Shard* shard, uint64_t now) {
  const uint64_t before = load(shard->stepped);
  const uint64_t since = now > before ? now - before : 0;
  const uint64_t steps = load(shard->steps) + 1;
  uint64_t pace = load(shard->pace);
  if (since == 0 && steps % kStepsOfOnePace == 0 && pace < kSlowestPace) pace *= 2;
  if (since > kSeldom || pace == 0) pace = kQuickestPace;
  store(shard->steps, steps);
  store(shard->pace, pace);
  store(shard->stepped, now);
  return static_cast<int64_t>(pace);
}

// While one thread is all there is, a step also says from where on a new height makes the next one.
int64_t step_alone(Shard* shard, int64_t pace, uint64_t now) {
  const int64_t net = load(shard->net);
  if (net > load(shard->ceiling)) store(shard->ceiling, net);
  store(shard->floor, net - pace);
  const int64_t headroom = load(shard->ceiling) - net;
  const int64_t live = raise_solo_peak(headroom, now);
  const int64_t for_time = timed.next(kTimeGrain);
  const int64_t for_table = copied.next(kTableGrain);
  int64_t distance = (for_time < for_table ? for_time : for_table) - live;
  if (distance < headroom) distance = headroom;
  if (distance <= 0) distance = live / 128 + kTableGrain;  // the copy was put off
  const int64_t look_at = net + distance;
  if (look_at != load(shard->look_at)) {
    store(shard->look_at, look_at);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);  // leave_solo() says that there are several, and then sets this word
    if (load(gate.several) != 0) store(shard->look_at, INT64_MIN);
  }
  return live;
}

// Of many shards the level is what they published.
int64_t level_of_several(const Shard* shard) {
  if (load(shard->steps) % 16 == 0) {
    const auto owners = static_cast<int64_t>(load(published().slots_owned) | 1u);
    const int64_t share = load(published().live) / 256 / owners;
    store(widest_band, share > kPublishBound ? share : kPublishBound);
  }
  return shards() <= kFewShards ? sum_net() : load(published().live);
}

void timed_step(Shard* shard) {
  const uint64_t now = since_start(coarse_time());
  const int64_t pace = next_pace(shard, now);
  store(shard->countdown, grant(shard, pace));
  const int64_t level = load(gate.several) != 0 ? level_of_several(shard) : step_alone(shard, pace, now);
  timed.fall_to(level);
  copied.fall_to(level);
  if (load(copies.put_off) != 0) keep_table(level, now);
  tick(now, level);
}

}  // namespace

HEAPSTER_ALIGNS_STACK void step(Shard* shard, void* block, const Caller& caller) {
  const bool paced = load(shard->countdown) < 0;
  if (is_sampling() && step_to_sample(shard, block, caller)) return;
  if (load(gate.several) != 0) {
    if (has_strayed(shard)) publish(shard);
    if (!paced && load(shard->countdown) >= 0) return;
  }
  timed_step(shard);
}

void publish_all(Shard* shard) {
  if (load(gate.several) == 0) return;
  publish(shard);
  set_band(shard, 0);
  store(shard->ceiling, load(shard->published));
}

void begin_publishing(Shard* shard) { store(shard->look_at, INT64_MIN); }

void resume_publishing(Shard* shard) {
  store(shard->look_at, INT64_MIN);
  store(shard->ceiling, load(shard->published) + load(shard->band));
  store(shard->floor, load(shard->published) - load(shard->band));
}

// A shard publishes at its next call; until then, which may be never, this is what it holds.
void leave_solo() {
  if (load(gate.several) != 0) return;
  const int64_t headroom = solo_headroom();
  raise_solo_peak(headroom, since_start(coarse_time()));
  store(recent_peak, sum_net() + headroom);
  each_shard([](Shard& shard) {
    const int64_t net = load(shard.net);
    store(shard.published, net);
    store(shard.floor, net);
    __atomic_add_fetch(&published().live, net, __ATOMIC_RELAXED);
  });
  store(published().several, 1u);
  store(gate.several, 1u);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  each_shard([](Shard& shard) {
    store(shard.look_at, INT64_MIN);
    store(shard.ceiling, load(shard.published));
    store(shard.countdown, int64_t{0});
  });
}

int64_t peak_error() {
  const Published& shown = published();
  if (load(gate.several) == 0) return 0;
  const int64_t told = load(shown.solo_peak) > load(shown.peak) ? load(shown.solo_peak) : load(shown.peak);
  const int64_t bound = load(shown.peak_bound);
  return bound > told ? bound - told : 0;
}

void look_for_snapshot() {
  if (load(gate.several) != 0) look();
}

int64_t begin_peak() {
  int64_t before;
  if (load(gate.several) != 0) {
    before = load(recent_peak);
    store(recent_peak, sum_net());
    store(recent_bound, load(published().live));
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
  return load(published().live) + load(bands) + segment.header()->at_fork.live_bytes + shards() * kPublishBound;
}

void restart_publishing() {
  table_lock = 0;
  bands = 0;
  widest_band = kPublishBound;
  recent_peak = 0;
  recent_bound = 0;
  looks = {};
  copies = {};
  timed = {};
  copied = {};
  restart_timeline();
}

void finish_publishing() {
  const uint64_t now = since_start(coarse_time_of_kernel());  // a short program never looked for the quick one
  if (load(gate.several) == 0) raise_solo_peak(solo_headroom(), now);
  look_for_snapshot();
  end_timeline(now);
}

}  // namespace heapster::preload
