// SPDX-License-Identifier: MIT
//
// The estimates are unbiased: over sizes from 8 B to 4 MiB, what the samples stand for stays within four standard
// errors of what was allocated. Drawing and weighing are the preload's own; the loop around them is here.

#include "preload/base/poisson.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace heapster::test {
namespace {

using preload::draw_distance;
using preload::exponential;
using preload::first_mark;
using preload::keeps_mark;
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
    const auto weight = weigh(bytes, mean);
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

// One block, as the sampler follows it; what it stands for by now, if it is sampled.
class Followed {
 public:
  Followed(int64_t& left, uint64_t& state, uint64_t mean) : left_(left), state_(state), mean_(mean) {}

  void become(uint64_t bytes) {
    if (sampled_ && !keeps_mark(bytes, mark_, mean_)) sampled_ = false;
    if (bytes > bytes_) left_ -= static_cast<int64_t>(bytes - bytes_);
    bytes_ = bytes;
    if (left_ >= 0) return;
    if (!sampled_) mark_ = first_mark(bytes, -left_);
    sampled_ = true;
    left_ = draw_distance(state_, mean_);
  }
  bool sampled() const { return sampled_; }
  uint64_t bytes() const { return bytes_; }

 private:
  int64_t& left_;
  uint64_t& state_;
  uint64_t mean_;
  uint64_t bytes_ = 0, mark_ = 0;
  bool sampled_ = false;
};

// Whatever became of a block before, at any moment it is sampled with the probability that a new block of its size is.
TEST(Poisson, BlocksThatShrinkAndGrowAreEstimatedWithoutBias) {
  constexpr uint64_t kMean = 16 * 1024;
  constexpr int kBlocks = 20000, kMoments = 12;
  const uint64_t kLives[][kMoments] = {
      {4000, 8000, 4000, 8000, 4000, 8000, 4000, 8000, 4000, 8000, 4000, 8000},  // a buffer that is reused
      {24, 56, 88, 120, 184, 248, 376, 504, 24, 56, 120, 504},                   // a list that is emptied
      {100'000, 8, 100'000, 40'000, 8, 16, 32, 64, 128, 256, 512, 1024},         // a large one that is cut
      {1000, 2000, 4000, 8000, 16'000, 32'000, 64'000, 63'000, 62'000, 30'000, 60'000, 9000},
  };
  uint64_t state = 4711;
  int64_t left = draw_distance(state, kMean);
  for (const auto& life : kLives) {
    std::vector<Followed> blocks(kBlocks, Followed(left, state, kMean));
    for (const uint64_t bytes : life) {
      double count = 0, sum = 0;
      for (Followed& block : blocks) {
        block.become(bytes);
        if (!block.sampled()) continue;
        const auto weight = weigh(block.bytes(), kMean);
        count += static_cast<double>(weight.count) / 256;
        sum += static_cast<double>(weight.bytes);
      }
      const double p = -std::expm1(-static_cast<double>(bytes) / kMean);
      const double error = 4 * std::sqrt(kBlocks * (1 - p) / p) + kBlocks / 500.0;
      EXPECT_NEAR(count, kBlocks, error) << bytes;
      EXPECT_NEAR(sum, kBlocks * static_cast<double>(bytes), error * static_cast<double>(bytes)) << bytes;
    }
  }
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
  EXPECT_EQ(weigh(100, 1).bytes, 100u);
  EXPECT_EQ(weigh(100, 1).count, 256u);
}

}  // namespace
}  // namespace heapster::test
