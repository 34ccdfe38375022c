// SPDX-License-Identifier: MIT
//
// The estimates are unbiased: over sizes from 8 B to 4 MiB, what the samples stand for stays within four standard
// errors of what was allocated. Drawing and weighing are the preload's own; the loop around them is here.

#include "preload/poisson.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace heapster::test {
namespace {

using preload::draw_distance;
using preload::exponential;
using preload::sampled_share;
using preload::weigh;

TEST(Poisson, LogarithmAndShareAreThoseOfTheMathematicalLibrary) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t bits = random() >> (i % 60);
    const double u = (static_cast<double>(bits) + 1) * 0x1p-64;
    EXPECT_NEAR(exponential(bits), -std::log(u), 1e-7 * (1 - std::log(u))) << bits;
    const double x = std::ldexp(static_cast<double>(bits >> 11), -50);
    EXPECT_NEAR(sampled_share(x), -std::expm1(-x), 1e-8 * x + 1e-15) << x;
  }
}

struct Sampled {
  double count = 0, bytes = 0;                    // what the samples stand for
  double count_variance = 0, bytes_variance = 0;  // of that, by theory: Σ s² (1 - p) / p
};

// Allocates `blocks` of sizes that `size` gives, as a shard does it.
template <typename Size>
Sampled run(uint64_t seed, uint64_t mean, int blocks, Size size, double& true_bytes) {
  uint64_t state = seed;
  int64_t left = draw_distance(state, mean);
  Sampled sum;
  true_bytes = 0;
  for (int i = 0; i < blocks; ++i) {
    const uint64_t bytes = size(i);
    true_bytes += static_cast<double>(bytes);
    const double p = -std::expm1(-static_cast<double>(bytes) / static_cast<double>(mean));
    sum.count_variance += (1 - p) / p;
    sum.bytes_variance += static_cast<double>(bytes) * static_cast<double>(bytes) * (1 - p) / p;
    left -= static_cast<int64_t>(bytes);
    if (left >= 0) continue;
    left = draw_distance(state, mean);
    const auto weight = weigh(bytes, bytes, mean);
    sum.count += static_cast<double>(weight.count) / 256;
    sum.bytes += static_cast<double>(weight.bytes);
  }
  return sum;
}

class Sizes : public testing::TestWithParam<uint64_t> {};

TEST_P(Sizes, AreEstimatedWithoutBias) {
  constexpr uint64_t kMean = 64 * 1024;
  const uint64_t bytes = GetParam();
  const int blocks = static_cast<int>(std::max<uint64_t>(20000, (uint64_t{1} << 30) / bytes / 4));
  double truth;
  const Sampled sum = run(
      12345 + bytes, kMean, blocks, [bytes](int) { return bytes; }, truth);
  EXPECT_NEAR(sum.bytes, truth, 4 * std::sqrt(sum.bytes_variance) + truth * 1e-5);
  EXPECT_NEAR(sum.count, blocks, 4 * std::sqrt(sum.count_variance) + blocks / 500.0);
}

INSTANTIATE_TEST_SUITE_P(Of, Sizes, testing::Values(8, 24, 72, 1000, 16384, 65536, 1 << 20, 4 << 20));

TEST(Poisson, MixedSizesAreEstimatedWithoutBias) {
  std::mt19937_64 random(7);
  const auto any = [&random](int) { return uint64_t{8} << random() % 20; };
  double truth;
  const Sampled sum = run(99, 512 * 1024, 400000, any, truth);
  EXPECT_NEAR(sum.bytes, truth, 4 * std::sqrt(sum.bytes_variance));
  EXPECT_NEAR(sum.count, 400000, 4 * std::sqrt(sum.count_variance));
}

// The first block is as likely as any other: a generator that begins with a fixed distance would favour it.
TEST(Poisson, NoBlockIsFavoured) {
  constexpr int kRuns = 40000, kBlocks = 8;
  int sampled[kBlocks] = {};
  for (int run = 0; run < kRuns; ++run) {
    uint64_t state = static_cast<uint64_t>(run) * 7919;
    int64_t left = draw_distance(state, 1000);
    for (int& count : sampled) {
      left -= 200;
      if (left >= 0) continue;
      left = draw_distance(state, 1000);
      ++count;
    }
  }
  const double p = -std::expm1(-0.2);
  for (const int count : sampled) EXPECT_NEAR(count, kRuns * p, 4 * std::sqrt(kRuns * p * (1 - p)));
}

TEST(Poisson, EveryAllocationStandsForItself) {
  uint64_t state = 1;
  EXPECT_EQ(draw_distance(state, 1), 0);
  EXPECT_EQ(weigh(100, 100, 1).bytes, 100u);
  EXPECT_EQ(weigh(100, 100, 1).count, 256u);
}

}  // namespace
}  // namespace heapster::test
