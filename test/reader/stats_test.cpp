// SPDX-License-Identifier: MIT
//
// Arithmetic: what is unknown stays unknown, what wraps cancels out, quantiles by hand.

#include "reader/stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "layout/exact.h"

namespace heapster::reader {
namespace {

Histogram histogram_of(std::initializer_list<std::pair<size_t, uint64_t>> counts) {
  Histogram histogram;
  histogram.known = true;
  for (const auto& [bucket, count] : counts) histogram.cells[bucket] = {count, count * 10};
  return histogram;
}

TEST(Number, UnknownTravelsThroughSums) {
  EXPECT_EQ((Number(5) + Number(7)).value(), 12);
  EXPECT_EQ((Number(5) + Number()).value(), std::nullopt);
  EXPECT_EQ((Number() - Number(5)).value(), std::nullopt);
  EXPECT_EQ(Number() + Number(5), Number());
}

TEST(Number, DifferencesMayBeNegative) { EXPECT_EQ((Number(5) - Number(7)).value(), -2); }

TEST(Histogram, SumsAreUnknownWhereItsCellsAre) {
  EXPECT_EQ(histogram_of({{3, 2}, {4, 5}}).count().value(), 7);
  EXPECT_EQ(histogram_of({{3, 2}, {4, 5}}).bytes().value(), 70);
  EXPECT_FALSE(Histogram{}.count().known());
  EXPECT_FALSE((histogram_of({{3, 2}}) + Histogram{}).bytes().known());
}

TEST(Stats, LiveIsMadeOfFourTables) {
  Stats stats;
  stats.usable = histogram_of({{3, 10}});
  stats.dealloc = histogram_of({{3, 4}, {5, 1}});
  stats.live_shift = histogram_of({{3, uint64_t{0} - 1}, {5, 1}});
  stats.live_at_fork = histogram_of({{7, 2}});
  const Histogram live = stats.live();
  EXPECT_EQ(live.cells[3].count, 5u);
  EXPECT_EQ(live.cells[5].count, 0u);
  EXPECT_EQ(live.cells[7].count, 2u);
  EXPECT_EQ(live.count().value(), 7);
}

TEST(Stats, UnnamedNumbersPairUpByName) {
  Stats a, b;
  a.unnamed = {{"x", "calls", false, {0, 5}}, {"y", "calls", false, {0, 7}}};
  b.unnamed = {{"y", "calls", false, {0, 3}}, {"z", "bytes", true, {1, 2}}};
  add(a, b);
  ASSERT_EQ(a.unnamed.size(), 3u);
  EXPECT_EQ(a.unnamed[0].sum.bytes, 5u);
  EXPECT_EQ(a.unnamed[1].sum.bytes, 10u);
  EXPECT_EQ(a.unnamed[2].name, "z");
  subtract(a, b);
  EXPECT_EQ(a.unnamed[1].sum.bytes, 7u);
  EXPECT_EQ(a.unnamed[2].sum.bytes, 0u);
}

// Cells with the sum of these sizes.
Histogram histogram_of_sizes(const std::vector<uint64_t>& sizes) {
  Histogram histogram{.known = true};
  for (const uint64_t size : sizes) {
    Cell& cell = histogram.cells[bucket_of(size)];
    ++cell.count;
    cell.bytes += size;
  }
  return histogram;
}

TEST(Quantile, IsExactWhereABucketsSumLeavesNoChoice) {
  const std::vector<uint64_t> small(1000, 16);
  for (const double q : {0.0, 0.5, 0.99, 1.0}) EXPECT_EQ(quantile(histogram_of_sizes(small), q), (Bounds{16, 16}));
  EXPECT_EQ(quantile(histogram_of_sizes({16, 16, 1024}), 1), (Bounds{1024, 1024})) << "not 1.98 KiB";
  EXPECT_EQ(quantile(histogram_of_sizes({100}), 0.5), (Bounds{100, 100}));
  EXPECT_EQ(quantile(histogram_of_sizes({0, 0}), 0.7), (Bounds{0, 0}));
}

TEST(Quantile, RankIsRoundedUpAndAtLeastOne) {
  const Histogram histogram = histogram_of_sizes({1, 64, 1024, 1024});
  EXPECT_EQ(quantile(histogram, 0), (Bounds{1, 1}));
  EXPECT_EQ(quantile(histogram, 0.26), (Bounds{64, 64}));
  EXPECT_EQ(quantile(histogram, 0.51), (Bounds{1024, 1024}));
}

// Whatever the sizes are: the true one lies within, and within its bucket.
TEST(Quantile, BoundsHoldTheTrueSize) {
  std::minstd_rand random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> sizes(1 + random() % 20);
    for (uint64_t& size : sizes) size = random() % 3 == 0 ? random() % 40 : 64 + random() % 3000;
    std::sort(sizes.begin(), sizes.end());
    Stats stats;
    stats.alloc = histogram_of_sizes(sizes);
    stats.usable_lines.resize(kExactLines);
    std::vector<uint64_t> usable;
    for (const uint64_t size : sizes) {
      const uint64_t line = std::max<uint64_t>(2, (size + kExactOverhead + kExactStep - 1) / kExactStep);
      if (line < kExactLines) ++stats.usable_lines[line];
      usable.push_back(exact_bytes(static_cast<uint32_t>(line)));
    }
    stats.usable = histogram_of_sizes(usable);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const double q = static_cast<double>(i + 1) / static_cast<double>(sizes.size());
      const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(sizes.size())));
      for (const auto& bounds : {quantile(stats.alloc, q), requested_quantile(stats, q)}) {
        ASSERT_TRUE(bounds);
        EXPECT_LE(bounds->low, sizes[rank - 1]);
        EXPECT_GE(bounds->high, sizes[rank - 1]);
        EXPECT_EQ(bucket_of(bounds->low), bucket_of(sizes[rank - 1]));
        EXPECT_EQ(bucket_of(bounds->high), bucket_of(sizes[rank - 1]));
      }
    }
  }
}

TEST(Quantile, OfRequestsIsKnownBySixteenBytes) {
  Stats stats;
  stats.alloc = histogram_of_sizes(std::vector<uint64_t>(1000, 48));
  stats.usable = histogram_of_sizes(std::vector<uint64_t>(1000, 56));
  EXPECT_EQ(requested_quantile(stats, 0.5), (Bounds{33, 63})) << "without the lines";
  stats.usable_lines.resize(kExactLines);
  stats.usable_lines[4] = 1000;  // blocks of 56 bytes
  EXPECT_EQ(requested_quantile(stats, 0.5), (Bounds{40, 56}));
  EXPECT_EQ(requested_quantile(stats, 0.99), (Bounds{48, 56}));
  stats.usable_lines[4] = 1001;  // of another moment than the cells
  EXPECT_EQ(requested_quantile(stats, 0.5), (Bounds{33, 63}));
}

TEST(Quantile, IsTheBucketWhereTheSumIsOfAnotherMoment) {
  EXPECT_EQ(quantile(histogram_of({{7, 4}}), 0.5), (Bounds{64, 127})) << "no bytes";
  Histogram damaged = histogram_of({{64, UINT64_MAX / 2}});
  EXPECT_EQ(quantile(damaged, 0.5), (Bounds{uint64_t{1} << 63, UINT64_MAX}));
}

TEST(Quantile, IsNothingWhereThereIsNothing) {
  EXPECT_FALSE(quantile(histogram_of({}), 0.5));
  EXPECT_FALSE(quantile(Histogram{}, 0.5));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), -0.1));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), 1.1));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), std::numeric_limits<double>::quiet_NaN()));
}

TEST(Quantile, PassesOverNegativeCells) {
  EXPECT_EQ(quantile(histogram_of({{3, uint64_t{0} - 2}, {7, 1}}), 1), (Bounds{64, 127}));
}

}  // namespace
}  // namespace heapster::reader
