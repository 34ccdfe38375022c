// SPDX-License-Identifier: MIT
//
// Arithmetic on sets of numbers. Everything here wraps on purpose: shards are read while their
// threads run, and a difference that is briefly negative must cancel out in the sum.

#include "reader/stats.h"

#include <algorithm>
#include <cmath>

#include "layout/bucket.h"

namespace heapster::reader {

namespace {

Cell plus(Cell a, Cell b) { return {a.count + b.count, a.bytes + b.bytes}; }
Cell minus(Cell a, Cell b) { return {a.count - b.count, a.bytes - b.bytes}; }

template <class Op>
Histogram combine(Histogram a, const Histogram& b, Op op) {
  a.known = a.known && b.known;
  for (size_t i = 0; i < kBuckets; ++i) a.cells[i] = op(a.cells[i], b.cells[i]);
  return a;
}

// Slots of one file list the same names in the same order; two files of different versions may
// not, and then names pair up and a lone one stays as it is.
template <class Op>
void combine_unnamed(std::vector<Unnamed>& a, const std::vector<Unnamed>& b, Op op) {
  for (size_t i = 0; i < b.size(); ++i) {
    const auto same = [&](const Unnamed& mine) { return mine.name == b[i].name; };
    auto mine = i < a.size() && same(a[i]) ? a.begin() + static_cast<std::ptrdiff_t>(i)
                                           : std::find_if(a.begin(), a.end(), same);
    if (mine == a.end()) mine = a.insert(a.end(), {b[i].name, b[i].unit, b[i].histogram, {}});
    mine->sum = op(mine->sum, b[i].sum);
  }
}

// A cell of a live histogram may be negative while threads run; it holds no rank then.
uint64_t ranks(const Cell& cell) { return static_cast<int64_t>(cell.count) > 0 ? cell.count : 0; }

}  // namespace

Number Histogram::count() const {
  uint64_t sum = 0;
  for (const Cell& cell : cells) sum += cell.count;
  return known ? Number(sum) : Number();
}

Number Histogram::bytes() const {
  uint64_t sum = 0;
  for (const Cell& cell : cells) sum += cell.bytes;
  return known ? Number(sum) : Number();
}

Histogram operator+(Histogram a, const Histogram& b) { return combine(a, b, plus); }
Histogram operator-(Histogram a, const Histogram& b) { return combine(a, b, minus); }

void add(Stats& a, const Stats& b) {
  walk_together(
      a, b, [](Histogram& x, const Histogram& y) { x = x + y; }, [](Number& x, Number y) { x = x + y; });
  combine_unnamed(a.unnamed, b.unnamed, plus);
}

void subtract(Stats& a, const Stats& b) {
  walk_together(
      a, b, [](Histogram& x, const Histogram& y) { x = x - y; }, [](Number& x, Number y) { x = x - y; });
  combine_unnamed(a.unnamed, b.unnamed, minus);
}

std::optional<double> quantile(const Histogram& histogram, double q) {
  uint64_t total = 0;
  for (const Cell& cell : histogram.cells) total += ranks(cell);
  if (!histogram.known || total == 0 || !(q >= 0 && q <= 1)) return std::nullopt;

  const double rank = std::clamp(std::ceil(q * static_cast<double>(total)), 1.0, static_cast<double>(total));
  double below = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    const auto here = static_cast<double>(ranks(histogram.cells[bucket]));
    if (here > 0 && rank <= below + here) {
      const auto low = static_cast<double>(bucket_low(bucket));
      return low + (static_cast<double>(bucket_high(bucket)) - low) * (rank - below) / here;
    }
    below += here;
  }
  return static_cast<double>(UINT64_MAX);
}

}  // namespace heapster::reader
