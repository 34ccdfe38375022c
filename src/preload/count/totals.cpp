// SPDX-License-Identifier: MIT

#include "preload/count/totals.h"

#include "preload/base/attributes.h"
#include "preload/base/libc.h"
#include "preload/segment/sections.h"
#include "preload/shard/size_lines.h"

namespace heapster::preload {

namespace {

void add_to(Cell& sum, const Cell& cell) {
  sum.count += cell.count;
  sum.bytes += cell.bytes;
}

void add_shard(Totals& totals, const Shard& shard) {
  totals.copied_bytes -= load(shard.counters.realloc_remap_sum);
  for (uint32_t i = 0; i < kBuckets; ++i) {
    const SizeLine line = size_line(shard, i);
    add_to(totals.alloc, line.alloc);
    add_to(totals.dealloc, line.dealloc);
    totals.copied_bytes += load(shard.reallocs[i].realloc_move.bytes);
  }
}

// What a shard came to when it was last added up, and the words that tell whether anything has happened in it since:
// whatever allocates moves the countdown or makes a step, whatever frees moves the level.
struct Known {
  int64_t net;
  int64_t countdown;
  uint64_t steps;
  Totals totals;
};
HEAPSTER_ASIDE constinit Known known[kMaxSlots] = {};
constinit uint32_t known_shards = 0;

}  // namespace

int64_t sum_net() {
  int64_t sum = 0;
  each_shard([&](const Shard& shard) { sum += load(shard.net); });
  return sum;
}

Totals sum_totals() {
  Totals totals{};
  each_shard([&](const Shard& shard) {
    totals.live_bytes += load(shard.net);
    add_shard(totals, shard);
  });
  return totals;
}

Totals sum_changed_totals() {
  if (shards() <= kFewShards) return sum_totals();
  Totals totals{};
  uint32_t place = 0;
  each_shard([&](const Shard& shard) {
    Known& before = known[place++];
    const Known now = {load(shard.net), load(shard.countdown), load(shard.steps), {}};
    totals.live_bytes += now.net;
    if (now.net != before.net || now.countdown != before.countdown || now.steps != before.steps) {
      before = now;
      add_shard(before.totals, shard);
    }
    add_to(totals.alloc, before.totals.alloc);
    add_to(totals.dealloc, before.totals.dealloc);
    totals.copied_bytes += before.totals.copied_bytes;
  });
  known_shards = place;
  return totals;
}

void forget_totals() {
  memset(known, 0, known_shards * sizeof known[0]);
  known_shards = 0;
}

void sum_live_cells(Cell (&cells)[kBuckets]) {
  memcpy(cells, segment.at<Cell>(kLiveAtForkOffset), sizeof cells);
  each_shard([&](const Shard& shard) {
    for (uint32_t i = 0; i < kBuckets; ++i) add_to(cells[i], living(size_line(shard, i)));
  });
}

}  // namespace heapster::preload
