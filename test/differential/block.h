// SPDX-License-Identifier: MIT
//
// A block that the program owns, filled so that whoever else writes to it, or loses a byte of it, is
// found out. Of large blocks only the ends are filled, or most of the time would go into that.

#pragma once

#include <stddef.h>
#include <stdint.h>

namespace differential {

inline constexpr size_t kEnd = 48;  // bytes at either end

struct Block {
  unsigned char* bytes = nullptr;
  size_t size = 0;
  size_t usable = 0;
  uint64_t mark = 0;  // what the filling is made from
};

inline unsigned char byte_of(uint64_t mark, size_t at) {
  return static_cast<unsigned char>((mark + at * 0x9e3779b9u) >> 7);
}

// Calls visit(at) for each byte that is filled below `limit`.
template <typename Visit>
void each_filled(const Block& block, size_t limit, Visit visit) {
  const size_t head = block.size < kEnd ? block.size : kEnd;
  const size_t tail = block.size - head < kEnd ? head : block.size - kEnd;
  for (size_t at = 0; at < head && at < limit; ++at) visit(at);
  for (size_t at = tail; at < block.size && at < limit; ++at) visit(at);
}

// The last usable byte is the program's as well.
inline void fill(Block& block) {
  each_filled(block, block.size, [&](size_t at) { block.bytes[at] = byte_of(block.mark, at); });
  if (block.usable > block.size) block.bytes[block.usable - 1] = byte_of(block.mark, block.usable);
}

// Bytes below `limit` that are not as they were filled.
inline uint64_t spoiled(const Block& block, size_t limit) {
  uint64_t count = 0;
  each_filled(block, limit, [&](size_t at) { count += block.bytes[at] != byte_of(block.mark, at); });
  const bool tail_kept = limit < block.usable || block.usable <= block.size ||
                         block.bytes[block.usable - 1] == byte_of(block.mark, block.usable);
  return count + !tail_kept;
}

// Bytes that are not zero, of a fresh calloc: all of a small block, some of each page of a large one.
inline uint64_t not_zero(const unsigned char* bytes, size_t size) {
  constexpr size_t kAll = 4096;
  uint64_t count = 0;
  for (size_t at = 0; at < size && at < kAll; ++at) count += bytes[at] != 0;
  for (size_t at = kAll; at < size; at += 509) count += bytes[at] != 0;
  return count + (size != 0 && bytes[size - 1] != 0);
}

}  // namespace differential
