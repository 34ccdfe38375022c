// SPDX-License-Identifier: MIT
//
// The numbers of a process, of a thread, or of the time between two snapshots, as values that
// can be added and subtracted. The members follow from counters.def; so do the walks over them,
// and with those merge, diff and every format.

#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "layout/segment.h"
#include "reader/number.h"

namespace heapster::reader {

// 65 cells of one kind. Either all of them are known or none is.
struct Histogram {
  std::array<Cell, kBuckets> cells{};
  bool known = false;

  Number count() const;
  Number bytes() const;
};
Histogram operator+(Histogram a, const Histogram& b);
Histogram operator-(Histogram a, const Histogram& b);

// The level of memory in use. Only a process has a peak; a thread has `curr` alone, which may be
// negative where it frees what others allocated.
struct Use {
  Number curr;
  Number max;
  Number max_error;
  std::optional<double> max_time;   // when the level came within 1/64 of max; seconds since the process started
  std::optional<double> max_since;  // when it was last seen to be lower
};

// A stored number whose name this version does not know: shown by its sum, never dropped.
struct Unnamed {
  std::string name;
  std::string unit;
  bool histogram = false;
  Cell sum{};  // a plain word counts as bytes = its value, count = 0
};

struct Stats {
#define HEAPSTER_SIZES(name, ...) Histogram name;
#define HEAPSTER_REALLOCS(name, ...) Histogram name;
#define HEAPSTER_COUNTER(name, ...) Number name;
#include "heapster/counters.def"

  Use use;
  Histogram live_at_fork;  // what a forked child inherited; empty elsewhere
  // How many of `usable` are of each size that is counted exactly (exact.h), by its line. Of a process, and of the time
  // between two snapshots of it; else empty.
  std::vector<uint64_t> usable_lines;
  std::vector<Unnamed> unnamed;

  // What is alive by usable size. Approximate while threads run: its parts are not read at once.
  Histogram live() const { return usable - dealloc + live_shift + live_at_fork; }
};

// Walks the stored numbers of two sets side by side: histogram(a.x, b.x) and word(a.x, b.x).
template <class A, class B, class OnHistogram, class OnWord>
void walk_together(A& a, B& b, OnHistogram histogram, OnWord word) {
#define HEAPSTER_SIZES(name, ...) histogram(a.name, b.name);
#define HEAPSTER_REALLOCS(name, ...) histogram(a.name, b.name);
#define HEAPSTER_COUNTER(name, ...) word(a.name, b.name);
#include "heapster/counters.def"
}

// Adds or subtracts what was counted; `use` and `live_at_fork`, which are states, stay a's.
void add(Stats& a, const Stats& b);
void subtract(Stats& a, const Stats& b);

// What is known of a size: it is neither below `low` nor above `high`.
struct Bounds {
  uint64_t low = 0;
  uint64_t high = 0;

  friend bool operator==(const Bounds&, const Bounds&) = default;
};

// The size at the rank ceil(q·n), at least 1, of n counted sizes: as near as its bucket and the sum of the sizes in
// there tell. Nothing where the histogram is empty or q is no share.
std::optional<Bounds> quantile(const Histogram& histogram, double q);

// The same of requested sizes: nearer, since none is larger than its block, and small blocks are known by 16 bytes.
std::optional<Bounds> requested_quantile(const Stats& stats, double q);

}  // namespace heapster::reader
