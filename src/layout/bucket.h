// SPDX-License-Identifier: MIT
//
// Which histogram bucket a size falls into, and what a bucket spans. Both sides use these, so a
// size is never filed under one rule and read under another.

#pragma once

#include <bit>
#include <cstdint>

namespace heapster {

// 0 for size 0, else 1 + floor(log2(size)).
constexpr uint32_t bucket_of(uint64_t size) { return static_cast<uint32_t>(std::bit_width(size)); }

// The smallest size in a bucket.
constexpr uint64_t bucket_low(uint32_t bucket) { return bucket == 0 ? 0 : uint64_t{1} << (bucket - 1); }

// The largest size in a bucket (inclusive, so that the last one can be told).
constexpr uint64_t bucket_high(uint32_t bucket) {
  if (bucket == 0) return 0;
  return bucket == 64 ? UINT64_MAX : (uint64_t{1} << bucket) - 1;
}

}  // namespace heapster
