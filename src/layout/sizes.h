// SPDX-License-Identifier: MIT
//
// Sizes as people give them to variables and options: 512K, 64M, 64MB, 64MiB, 1.5g, 1e6. Letters are powers of 1024.
// The preload reads them by this, and so does every command.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace heapster {

// A limit of live bytes, which are counted with a sign.
inline constexpr uint64_t kMostLimit = INT64_MAX;

namespace sizes {

// Takes "M", "MB" or "MiB" from the end, in any case; the power of 2 that it stands for.
constexpr unsigned take_unit(std::string_view& text) {
  const auto ends_with = [&](char lower) { return !text.empty() && (text.back() | 0x20) == lower; };
  const std::string_view all = text;
  const bool bytes = ends_with('b');
  if (bytes) text.remove_suffix(1);
  const bool binary = bytes && ends_with('i');
  if (binary) text.remove_suffix(1);
  constexpr std::string_view kLetters = "kmgt";
  for (size_t i = 0; i < kLetters.size(); ++i) {
    if (!ends_with(kLetters[i])) continue;
    text.remove_suffix(1);
    return static_cast<unsigned>(10 * (i + 1));
  }
  if (binary) text = all;  // "iB" alone is no unit
  return 0;
}

// Digits from the front, with _ between them; false where there are none, or too many.
constexpr bool take_digits(std::string_view& text, uint64_t& number, unsigned& digits) {
  const size_t before = text.size();
  for (; !text.empty() && ((text[0] >= '0' && text[0] <= '9') || (text[0] == '_' && text.size() != before));
       text.remove_prefix(1)) {
    if (text[0] == '_') continue;
    if (++digits > 18) return false;
    number = number * 10 + static_cast<uint64_t>(text[0] - '0');
  }
  return text.size() != before;
}

}  // namespace sizes

// False where the text is no size, or one of more than 63 bits.
constexpr bool read_size(std::string_view text, uint64_t& size) {
  constexpr unsigned kMostDecimals = 6;  // so that nothing below is more than 64 bits
  const bool lone_unit = text.empty() || text.back() == '.' || text.back() == '_';
  const unsigned shift = sizes::take_unit(text);
  uint64_t number = 0;
  unsigned digits = 0;
  unsigned decimals = 0;
  if (lone_unit || !sizes::take_digits(text, number, digits)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const unsigned whole = digits;
    if (!sizes::take_digits(text, number, digits)) return false;
    decimals = digits - whole;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    uint64_t tens = 0;
    unsigned of_tens = 0;
    if (!sizes::take_digits(text, tens, of_tens) || tens > 18) return false;
    for (; tens != 0 && decimals != 0; --tens) --decimals;
    for (; tens != 0; --tens) {
      if (number > INT64_MAX / 10) return false;
      number *= 10;
    }
  }
  if (!text.empty() || decimals > kMostDecimals || number > (uint64_t{INT64_MAX} >> shift)) return false;
  uint64_t divisor = 1;
  for (; decimals != 0; --decimals) divisor *= 10;
  size = ((number / divisor) << shift) + (((number % divisor) << shift) / divisor);
  return true;
}

// 0 where the text is no size, or a size of 0.
constexpr uint64_t parse_size(std::string_view text) {
  uint64_t size = 0;
  return read_size(text, size) ? size : 0;
}

static_assert(parse_size("512K") == 512 * 1024 && parse_size("1") == 1 && parse_size("K") == 0);
static_assert(parse_size("1.5G") == 1536 << 20 && parse_size("64mib") == 64 << 20 && parse_size("1e6") == 1'000'000);

}  // namespace heapster
