// SPDX-License-Identifier: MIT
//
// Small blocks are counted by their exact usable size, where that is 16·i − 8 bytes, as glibc's are: the chunk's size,
// as it stands before the block, is at once where the line of such blocks lies, and bytes follow from counts. Other
// sizes are counted in the cells of their bucket, and a histogram is the sum of both.

#pragma once

#include <cstdint>

#include "layout/bucket.h"

namespace heapster {

inline constexpr uint32_t kExactLines = 256;
inline constexpr uint64_t kExactStep = 16;     // from one such size to the next, and from one line to the next
inline constexpr uint64_t kExactOverhead = 8;  // of a chunk

// A freed block's line is written to when so many more have been freed; until then its place waits (Shard::waiting).
inline constexpr uint32_t kWaitingLines = 16;

// The usable bytes of a line's blocks; line 0 stands for none.
constexpr uint64_t exact_bytes(uint32_t line) { return line * kExactStep - kExactOverhead; }

// A bucket's lines are those from its first to before the next bucket's first.
constexpr uint32_t first_exact_line(uint32_t bucket) {
  if (bucket > 64) return kExactLines;
  const uint64_t line = (bucket_low(bucket) + kExactOverhead + kExactStep - 1) / kExactStep;
  return line < kExactLines ? static_cast<uint32_t>(line) : kExactLines;
}

static_assert(first_exact_line(0) == 1 && exact_bytes(1) == 8);
static_assert(bucket_of(exact_bytes(first_exact_line(7))) == 7 && bucket_of(exact_bytes(first_exact_line(7) - 1)) == 6);
static_assert(first_exact_line(64) == kExactLines);

}  // namespace heapster
