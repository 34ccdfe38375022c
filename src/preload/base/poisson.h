// SPDX-License-Identifier: MIT
//
// How samples are drawn, and what each stands for.
//
// Imagine a mark at every byte that is ever allocated with probability 1/R, R being the mean distance. A block is
// sampled if any of its bytes is marked. Marks are rare and independent, so the distance to the next one is
// exponential: draw -R ln(U) once, subtract every allocation's bytes from it, sample the block that takes it below
// zero, and draw anew. Where the last mark was says nothing about the next (the process has no memory), so drawing
// anew from the sampled block's end is right, however far the block reached beyond its mark.
//
// A block of s bytes is sampled with probability p = 1 - exp(-s/R). Counted as 1/p blocks and s/p bytes where it is
// sampled, and as nothing where it is not, it adds 1 and s in the mean: sums of such weights are unbiased,
// whatever the sizes are. Small blocks (s << R) stand for R bytes each, large ones (s >> R) for themselves.
//
// A block that grows brings new bytes that may be marked, one that shrinks gives back bytes with their marks, and is
// sampled no longer where no mark is left. So whatever became of it before, a block of s bytes is sampled with the p of
// s bytes, and nothing has to be remembered of blocks that are not sampled. Of one that is, the first mark is enough.

#pragma once

#include <cstdint>

namespace heapster::preload {

// A generator of one word (splitmix64): fast, and any seed will do.
inline uint64_t next_random(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// -ln(u) for u = (random + 1) / 2^64. Without libm: the exponent, and a series for the rest (atanh).
inline double exponential(uint64_t random) {
  constexpr double kLn2 = 0.693147180559945309417;
  const int zeros = random == UINT64_MAX ? 0 : __builtin_clzll(random + 1);
  if (random == UINT64_MAX) return 0;
  // u = m * 2^(-zeros), m in [1/2, 1)
  const double m = static_cast<double>((random + 1) << zeros) * 0x1p-64;
  const double t = (1 - m) / (1 + m);
  const double t2 = t * t;
  const double series =
      1 + t2 * (1.0 / 3 + t2 * (1.0 / 5 + t2 * (1.0 / 7 + t2 * (1.0 / 9 + t2 * (1.0 / 11 + t2 / 13)))));
  return zeros * kLn2 + 2 * t * series;
}

// 1 - exp(-x), x >= 0: by halving x until a short series holds, then squaring back. y = 1 - exp(-x) for the half gives
// 1 - exp(-2x) = y (2 - y).
inline double sampled_share(double x) {
  if (x > 40) return 1;
  int halvings = 0;
  while (x > 0x1p-6) {
    x /= 2;
    ++halvings;
  }
  double y = x * (1 - x * (1.0 / 2 - x * (1.0 / 6 - x * (1.0 / 24 - x / 120))));
  for (; halvings > 0; --halvings) y *= 2 - y;
  return y;
}

// Bytes until the next mark.
inline int64_t draw_distance(uint64_t& state, uint64_t mean) {
  return mean <= 1 ? 0 : static_cast<int64_t>(static_cast<double>(mean) * exponential(next_random(state)));
}

// To the nearest, without libm.
inline uint64_t rounded(double value) {
  const auto whole = static_cast<uint64_t>(value);
  return value - static_cast<double>(whole) < 0.5 ? whole : whole + 1;
}

// The first marked byte of a block whose bytes took the distance to the mark so far below zero: the distance is to the
// last bytes that were drawn over, which are the block's last. Where a signal's handler came in between they may be
// another's.
inline uint64_t first_mark(uint64_t bytes, int64_t below_zero) {
  const auto from_end = static_cast<uint64_t>(below_zero);
  return from_end < bytes ? bytes - from_end : 0;
}

// Whether a sampled block stays so when it has so many bytes; where each block is, none ceases to be.
inline bool keeps_mark(uint64_t bytes, uint64_t mark, uint64_t mean) { return mean <= 1 || bytes > mark; }

struct Weight {
  uint64_t count;  // in 256ths
  uint64_t bytes;
};

// What a sampled block of so many bytes stands for.
inline Weight weigh(uint64_t bytes, uint64_t mean) {
  if (mean <= 1) return {256, bytes};
  if (bytes == 0) return {0, 0};
  const double share = sampled_share(static_cast<double>(bytes) / static_cast<double>(mean));
  return {rounded(256 / share), rounded(static_cast<double>(bytes) / share)};
}

// What a sample adds to the variance of a sum of counts, in blocks, and of bytes: w² (1 - p), w being what it stands
// for. That is w (w - what it is itself).
struct Spread {
  double count;
  double bytes;
};

inline Spread spread_of(uint64_t bytes, const Weight& weight) {
  const double count = static_cast<double>(weight.count) / 256;
  const auto sum = static_cast<double>(weight.bytes);
  return {count * (count - 1), sum * (sum - static_cast<double>(bytes))};
}

// How sure it was whether a block of so many bytes is sampled: sqrt(1 - p), which is exp(-s/2R).
inline double doubt(uint64_t bytes, uint64_t mean) {
  return 1 - sampled_share(static_cast<double>(bytes) / static_cast<double>(mean) / 2);
}

}  // namespace heapster::preload
