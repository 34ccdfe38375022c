// SPDX-License-Identifier: MIT
//
// Sizes as variables and options give them: a number, with K, M or G for powers of 1024. The preload reads them by
// this, and the command line refuses by it what the preload would ignore.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heapster {

// A limit of live bytes, which are counted with a sign.
inline constexpr uint64_t kMostLimit = INT64_MAX;

// 0 where the text is no size, or a size of 0.
constexpr uint64_t parse_size(std::string_view text) {
  unsigned shift = 0;
  if (!text.empty()) {
    const char unit = text.back();
    shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
    if (shift != 0) text.remove_suffix(1);
  }
  constexpr size_t kMostDigits = 12;
  if (text.empty() || text.size() > kMostDigits) return 0;
  uint64_t size = 0;
  for (const char letter : text) {
    if (letter < '0' || letter > '9') return 0;
    size = size * 10 + static_cast<uint64_t>(letter - '0');
  }
  return size > UINT64_MAX >> shift ? 0 : size << shift;
}

static_assert(parse_size("512K") == 512 * 1024 && parse_size("1") == 1 && parse_size("K") == 0);

}  // namespace heapster
