// SPDX-License-Identifier: MIT
//
// Arithmetic on sets of numbers. Everything here wraps on purpose: shards are read while their
// threads run, and a difference that is briefly negative must cancel out in the sum.

#include "reader/stats.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "layout/exact.h"

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

uint64_t all_ranks(const Histogram& histogram) {
  uint64_t total = 0;
  for (const Cell& cell : histogram.cells) total += ranks(cell);
  return total;
}

// So many sizes, in order, are not above this one.
struct Ceiling {
  uint64_t size;
  uint64_t count;
};

std::vector<Ceiling> ceilings_of(const Histogram& histogram) {
  std::vector<Ceiling> ceilings;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket)
    if (const uint64_t here = ranks(histogram.cells[bucket]); here != 0)
      ceilings.push_back({bucket_high(bucket), here});
  return ceilings;
}

// The sizes of blocks in order: none of the requests in order is above the block of its rank. Nothing where the blocks
// are not known, or others than the requests, as they may be while threads run.
std::vector<Ceiling> ceilings_of_requests(const Stats& stats) {
  std::vector<Ceiling> ceilings;
  if (stats.usable_lines.size() != kExactLines || all_ranks(stats.usable) != all_ranks(stats.alloc)) return {};
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    uint64_t rest = ranks(stats.usable.cells[bucket]);
    for (uint32_t line = first_exact_line(bucket); line < first_exact_line(bucket + 1); ++line) {
      const uint64_t here = stats.usable_lines[line];
      if (here > rest) return {};
      if (here != 0) ceilings.push_back({exact_bytes(line), here});
      rest -= here;
    }
    if (rest != 0) ceilings.push_back({bucket_high(bucket), rest});
  }
  return ceilings;
}

// What the ceilings allow the sizes of one bucket, the ranks from `below` on.
struct Room {
  uint64_t until = 0;  // of the first k of them together
  uint64_t all = 0;    // of all of them together
  uint64_t at = 0;     // of the k-th
  bool sound = true;   // none is below the bucket
};

Room room_in(uint32_t bucket, uint64_t below, uint64_t here, uint64_t k, const std::vector<Ceiling>& ceilings) {
  Room room;
  uint64_t rank = 0;  // of the last one under the ceilings so far
  for (const Ceiling& ceiling : ceilings) {
    const uint64_t first = std::max(rank, below);
    rank += ceiling.count;
    const auto up_to = [&](uint64_t last) { return std::min(rank, last) - std::min(first, std::min(rank, last)); };
    const uint64_t count = up_to(below + here);
    if (count == 0) continue;
    const uint64_t size = std::min(ceiling.size, bucket_high(bucket));
    room.sound = room.sound && size >= bucket_low(bucket);
    room.all += count * size;
    room.until += up_to(below + k) * size;
    if (first < below + k && below + k <= rank) room.at = size;
  }
  return room;
}

// The k-th of a bucket's sizes: those after it are not smaller, those before it not larger, and all together are the
// bucket's sum.
Bounds bounds_in(uint32_t bucket, uint64_t sum, uint64_t here, uint64_t k, const Room& room) {
  const Bounds whole{bucket_low(bucket), bucket_high(bucket)};
  const bool countable = whole.high == 0 || here <= UINT64_MAX / whole.high;
  if (!countable || !room.sound || sum < whole.low * here || sum > room.all) return whole;
  const uint64_t spare = sum - whole.low * here;
  const uint64_t missing = room.all - sum;
  const uint64_t least = room.until > missing ? (room.until - missing + k - 1) / k : 0;
  const Bounds bounds{std::max(whole.low, least), std::min(room.at, whole.low + spare / (here - k + 1))};
  return bounds.low <= bounds.high ? bounds : whole;
}

std::optional<Bounds> quantile_below(const Histogram& histogram, double q, const std::vector<Ceiling>& ceilings) {
  const uint64_t total = all_ranks(histogram);
  if (!histogram.known || total == 0 || !(q >= 0 && q <= 1)) return std::nullopt;
  const double wanted = std::clamp(std::ceil(q * static_cast<double>(total)), 1.0, static_cast<double>(total));
  const uint64_t rank = wanted < 0x1p63 ? std::min(static_cast<uint64_t>(wanted), total) : total;
  uint64_t below = 0;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    const uint64_t here = ranks(histogram.cells[bucket]);
    if (here != 0 && rank <= below + here) {
      const Room room = room_in(bucket, below, here, rank - below, ceilings);
      return bounds_in(bucket, histogram.cells[bucket].bytes, here, rank - below, room);
    }
    below += here;
  }
  return std::nullopt;
}

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
  if (a.usable_lines.size() != b.usable_lines.size()) a.usable_lines.clear();
  for (size_t i = 0; i < a.usable_lines.size(); ++i) a.usable_lines[i] -= b.usable_lines[i];
}

std::optional<Bounds> quantile(const Histogram& histogram, double q) {
  return quantile_below(histogram, q, ceilings_of(histogram));
}

std::optional<Bounds> requested_quantile(const Stats& stats, double q) {
  const std::vector<Ceiling> ceilings = ceilings_of_requests(stats);
  return ceilings.empty() ? quantile(stats.alloc, q) : quantile_below(stats.alloc, q, ceilings);
}

}  // namespace heapster::reader
