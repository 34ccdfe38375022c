// SPDX-License-Identifier: MIT
//
// What a program may ask of the library that it runs under (heapster/interface.h). The figures are those of
// counters.def, by the reader's own expressions, computed straight into the caller's memory: they are too large for a
// small stack.

#include "heapster/interface.h"

#include "preload/base/libc.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/count/publish.h"
#include "preload/count/recorder.h"
#include "preload/count/threads.h"
#include "preload/inside/arenas.h"
#include "preload/inside/scopes.h"
#include "preload/policy/limits.h"
#include "preload/sampling/watches.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/own_shard.h"
#include "preload/shard/size_lines.h"

namespace heapster::preload {

namespace {

// The counts at the last reset; the other one is for the next, so that who reads meanwhile is not disturbed.
struct Baselines {
  Shard shards[2];
  const Shard* last;
  uint32_t lock;
};
constinit Baselines baselines = {};

// The cells of one table, added up.
struct Table {
  int64_t cells = 0;
  int64_t sum = 0;

  int64_t count() const { return cells; }
  int64_t bytes() const { return sum; }
};

// What the expressions of counters.def ask of a set of counts.
struct Counted {
#define HEAPSTER_SIZES(name, ...) Table name;
#define HEAPSTER_REALLOCS(name, ...) Table name;
#define HEAPSTER_COUNTER(name, ...) int64_t name = 0;
#include "heapster/counters.def"
  struct {
    int64_t curr = 0;
    int64_t max = 0;
    int64_t max_error = 0;
    double max_time = 0;
    double max_since = 0;
  } use;
  Table living;

  Table live() const { return living; }
};

enum class Way : uint64_t { kAdd = 0, kTakeAway = ~uint64_t{0} };

uint64_t signed_by(uint64_t word, Way way) {
  const auto mask = static_cast<uint64_t>(way);
  return (word ^ mask) - mask;
}

void take_in(Table& table, heapster_cell& shown, uint64_t count, uint64_t bytes) {
  shown.count += count;
  shown.bytes += bytes;
  table.cells += static_cast<int64_t>(count);
  table.sum += static_cast<int64_t>(bytes);
}

void take_in(Table& table, heapster_cell& shown, const Cell& cell, Way way) {
  take_in(table, shown, signed_by(load(cell.count), way), signed_by(load(cell.bytes), way));
}

bool is_empty(const SizeLine& line) {
  return (line.usable.count | line.alloc.count | line.dealloc.count | line.live_shift.count | line.live_shift.bytes) ==
         0;
}
bool is_empty(const ReallocLine& line) {
  return (load(line.realloc_growth.count) | load(line.realloc_shrink.count) | load(line.realloc_move.count)) == 0;
}

enum class Living { kLeaveOut, kTellOf };

template <Living living_too = Living::kLeaveOut>
void add_shard(heapster_stats& into, Counted& s, const Shard& shard, Way way) {
  for (uint32_t i = 0; i < kBuckets; ++i) {
    const SizeLine line = size_line(shard, i);
    if (is_empty(line) && is_empty(shard.reallocs[i])) continue;
    heapster_cell unshown{};
#define HEAPSTER_CELL_hidden(name) unshown
#define HEAPSTER_CELL_allocations(name) into.name##_histogram.bucket[i]
#define HEAPSTER_CELL_deallocations(name) into.name##_histogram.bucket[i]
#define HEAPSTER_CELL_reallocations(name) into.name##_histogram.bucket[i]
#define HEAPSTER_SIZES(name, section, ...) take_in(s.name, HEAPSTER_CELL_##section(name), line.name, way);
#define HEAPSTER_REALLOCS(name, section, ...) \
  take_in(s.name, HEAPSTER_CELL_##section(name), shard.reallocs[i].name, way);
#include "heapster/counters.def"
    if constexpr (living_too == Living::kTellOf) take_in(s.living, into.live_histogram.bucket[i], living(line), way);
  }
#define HEAPSTER_COUNTER(name, ...) s.name += static_cast<int64_t>(signed_by(load(shard.counters.name), way));
#include "heapster/counters.def"
}

void finish(heapster_stats& into, const Counted& s) {
#define HEAPSTER_SUMS(name)           \
  into.name##_count = s.name.count(); \
  into.name##_sum = s.name.bytes();
#define HEAPSTER_SUMS_hidden(name)
#define HEAPSTER_SUMS_allocations(name) HEAPSTER_SUMS(name)
#define HEAPSTER_SUMS_deallocations(name) HEAPSTER_SUMS(name)
#define HEAPSTER_SUMS_reallocations(name) HEAPSTER_SUMS(name)
#define HEAPSTER_SIZES(name, section, ...) HEAPSTER_SUMS_##section(name)
#define HEAPSTER_REALLOCS(name, section, ...) HEAPSTER_SUMS_##section(name)
#define HEAPSTER_COUNTER(name, ...) into.name = s.name;
#define HEAPSTER_FIGURE(name, unit, kind, section, value, help) into.name = value;
#include "heapster/counters.def"
  into.live_change = s.usable.count() - s.dealloc.count() + s.live_shift.count();
  into.use_change = s.usable.bytes() - s.dealloc.bytes() + s.live_shift.bytes();
}

void read_process(heapster_stats* into) {
  memset(into, 0, sizeof *into);
  Counted s;
  each_shard([&](const Shard& shard) { add_shard<Living::kTellOf>(*into, s, shard, Way::kAdd); });
  const auto* at_fork = segment.at<const Cell>(kLiveAtForkOffset);
  for (uint32_t i = 0; i < kBuckets; ++i) take_in(s.living, into->live_histogram.bucket[i], at_fork[i], Way::kAdd);
  const Header& header = *segment.header();
  s.use.curr = header.at_fork.live_bytes + sum_net();
  s.use.max = header.at_fork.live_bytes + highest_live();
  s.use.max_error = peak_error();
  s.use.max_time = static_cast<double>(load(header.published.peak_time)) / 1e9;
  s.use.max_since = static_cast<double>(load(header.published.peak_since)) / 1e9;
  if (const Shard* before = __atomic_load_n(&baselines.last, __ATOMIC_ACQUIRE))
    add_shard(*into, s, *before, Way::kTakeAway);
  finish(*into, s);
}

void add_own(heapster_stats& into, Counted& s, const Slot& slot) {
  add_shard(into, s, slot.now, Way::kAdd);
  if (slot.now.generation > 1) add_shard(into, s, slot.before, Way::kTakeAway);
}

void read_thread(heapster_stats* into) {
  memset(into, 0, sizeof *into);
  if (own_shard() == nullptr) find_target();
  if (own_shard() == nullptr) return;
  Counted s;
  const Slot& home = *segment.slot(thread_state.slot);
  add_own(*into, s, home);
  for (const uint16_t& scope : home.now.scope_slots) {
    if (const uint32_t slot = load(scope); slot != 0) add_own(*into, s, *segment.slot(slot - 1));
  }
  s.living.cells = s.usable.count() - s.dealloc.count() + s.live_shift.count();
  s.living.sum = s.usable.bytes() - s.dealloc.bytes() + s.live_shift.bytes();
  s.use.curr = s.living.sum;
  finish(*into, s);
}

void reset() {
  const TryLock lock(baselines.lock);
  if (!lock) return;  // another thread resets, now
  Shard& fresh = baselines.shards[baselines.last == &baselines.shards[0]];
  memset(&fresh, 0, sizeof fresh);
  each_shard([&](const Shard& shard) {
    for (uint32_t i = 0; i < kBuckets; ++i) {
      const SizeLine line = size_line(shard, i);
#define HEAPSTER_SIZES(name, ...)               \
  fresh.sizes[i].name.count += line.name.count; \
  fresh.sizes[i].name.bytes += line.name.bytes;
#define HEAPSTER_REALLOCS(name, ...)                                  \
  fresh.reallocs[i].name.count += load(shard.reallocs[i].name.count); \
  fresh.reallocs[i].name.bytes += load(shard.reallocs[i].name.bytes);
#include "heapster/counters.def"
    }
#define HEAPSTER_COUNTER(name, ...) fresh.counters.name += load(shard.counters.name);
#include "heapster/counters.def"
  });
  __atomic_store_n(&baselines.last, &fresh, __ATOMIC_RELEASE);
  begin_peak();
}

struct Member {
  const char* name;
  size_t offset;
  bool is_real;
};
constexpr Member kMembers[] = {
#define HEAPSTER_REAL_calls false
#define HEAPSTER_REAL_blocks false
#define HEAPSTER_REAL_bytes false
#define HEAPSTER_REAL_seconds true
#define HEAPSTER_MEMBER(name, unit) {#name, offsetof(heapster_stats, name), HEAPSTER_REAL_##unit},
#define HEAPSTER_TWO(name) HEAPSTER_MEMBER(name##_count, calls) HEAPSTER_MEMBER(name##_sum, bytes)
#define HEAPSTER_TWO_hidden(name)
#define HEAPSTER_TWO_allocations(name) HEAPSTER_TWO(name)
#define HEAPSTER_TWO_deallocations(name) HEAPSTER_TWO(name)
#define HEAPSTER_TWO_reallocations(name) HEAPSTER_TWO(name)
#define HEAPSTER_SIZES(name, section, ...) HEAPSTER_TWO_##section(name)
#define HEAPSTER_REALLOCS(name, section, ...) HEAPSTER_TWO_##section(name)
#define HEAPSTER_COUNTER(name, unit, ...) HEAPSTER_MEMBER(name, unit)
#define HEAPSTER_FIGURE(name, unit, ...) HEAPSTER_MEMBER(name, unit)
#include "heapster/counters.def"
    HEAPSTER_MEMBER(use_change, bytes) HEAPSTER_MEMBER(live_change, blocks)};

bool find_figure(const heapster_stats& of, const char* name, double& value) {
  for (const Member& member : kMembers) {
    const size_t size = strlen(member.name);
    if (strlen(name) != size || memcmp(name, member.name, size) != 0) continue;
    const char* at = reinterpret_cast<const char*>(&of) + member.offset;
    if (member.is_real) {
      memcpy(&value, at, sizeof value);
    } else {
      int64_t whole;
      memcpy(&whole, at, sizeof whole);
      value = static_cast<double>(whole);
    }
    return true;
  }
  return false;
}

// The functions as the program gets them: where nothing is counted, or in a fork's child before its first call, there
// is nothing to tell and nothing to do.
bool ready() {
  if (load(gate.any) == 0) find_target();
  return load(gate.any) != 0;
}

constexpr heapster_interface_v1 kInterface = {
    .stats_bytes = sizeof(heapster_stats),
    .read =
        [](heapster_stats* into) {
          if (ready()) read_process(into);
        },
    .read_thread =
        [](heapster_stats* into) {
          if (ready()) read_thread(into);
        },
    .reset =
        [] {
          if (ready()) reset();
        },
    .begin_peak = []() -> int64_t { return ready() ? begin_peak() : 0; },
    .end_peak = [](int64_t before) -> int64_t {
      return ready() ? end_peak(before) + segment.header()->at_fork.live_bytes : 0;
    },
    .enter = [](const char* name, size_t bytes) -> uint64_t { return ready() ? enter_scope(name, bytes) : 0; },
    .leave =
        [](uint64_t scope) {
          if (load(gate.any) != 0) leave_scope(scope);
        },
    .set_limit = [](uint64_t bytes) -> int { return set_limit(bytes) ? 0 : -1; },
    .limit = limit,
    .remaining = remaining,
    .arena_asked =
        [](heapster_arena_handle* arena, int64_t bytes) {
          if (ready()) arena_asked(*arena, bytes);
        },
    .arena_upstream =
        [](heapster_arena_handle* arena, int64_t bytes) {
          if (ready()) arena_upstream(*arena, bytes);
        },
    .arena_reset =
        [](heapster_arena_handle* arena, uint64_t blocks, uint64_t bytes) {
          if (ready()) arena_reset(*arena, blocks, bytes);
        },
    .figure = [](const heapster_stats* of, const char* name, double* value) -> int {
      return find_figure(*of, name, *value);
    },
    .watch = [](int everyone) -> uint64_t { return ready() ? begin_watch(everyone != 0) : 0; },
    .watched = watched,
    .unwatch = end_watch,
};

}  // namespace

void forget_baseline() {
  baselines.last = nullptr;
  baselines.lock = 0;
}

const heapster_interface_v1* find_interface(unsigned version, size_t stats_bytes) {
  const bool known = stats_bytes == 0 || stats_bytes == sizeof(heapster_stats);
  return version == HEAPSTER_INTERFACE_VERSION && known && load(process.stage) != Stage::kOff ? &kInterface : nullptr;
}

}  // namespace heapster::preload
