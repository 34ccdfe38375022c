// SPDX-License-Identifier: MIT
//
// Arithmetic: what is unknown stays unknown, what wraps cancels out, quantiles by hand.

#include "reader/stats.h"

#include <gtest/gtest.h>

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

TEST(Quantile, IsLinearInsideItsBucket) {
  // Bucket 7 is [64, 128): four sizes in it, at quarters of the way to 127.
  const Histogram histogram = histogram_of({{7, 4}});
  EXPECT_DOUBLE_EQ(*quantile(histogram, 0.25), 64 + 63 * 0.25);
  EXPECT_DOUBLE_EQ(*quantile(histogram, 0.5), 64 + 63 * 0.5);
  EXPECT_DOUBLE_EQ(*quantile(histogram, 1), 127);
}

TEST(Quantile, RankIsRoundedUpAndAtLeastOne) {
  const Histogram histogram = histogram_of({{1, 1}, {7, 1}, {11, 2}});
  EXPECT_DOUBLE_EQ(*quantile(histogram, 0), 1);       // rank 1
  EXPECT_DOUBLE_EQ(*quantile(histogram, 0.26), 127);  // rank 2
  EXPECT_DOUBLE_EQ(*quantile(histogram, 0.51), 1024 + 1023 * 0.5);
}

TEST(Quantile, SizeZeroHasNoWidth) { EXPECT_DOUBLE_EQ(*quantile(histogram_of({{0, 9}}), 0.7), 0); }

TEST(Quantile, IsNothingWhereThereIsNothing) {
  EXPECT_FALSE(quantile(histogram_of({}), 0.5));
  EXPECT_FALSE(quantile(Histogram{}, 0.5));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), -0.1));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), 1.1));
  EXPECT_FALSE(quantile(histogram_of({{7, 4}}), std::numeric_limits<double>::quiet_NaN()));
}

TEST(Quantile, PassesOverNegativeCells) {
  EXPECT_DOUBLE_EQ(*quantile(histogram_of({{3, uint64_t{0} - 2}, {7, 1}}), 1), 127);
}

}  // namespace
}  // namespace heapster::reader
