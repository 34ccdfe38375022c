// SPDX-License-Identifier: MIT
//
// Which bytes of a text may be shown. A file, a path or a name may hold anything: what is not UTF-8, what steers a
// terminal, and what turns the direction of writing, so that a line reads as another one. All output asks this one.

#pragma once

#include <cstddef>
#include <cstdint>

namespace heapster {

struct Character {
  size_t bytes;  // that it takes; 0: no character of UTF-8 begins here
  uint32_t code;
};

// The first character of a text that is not empty. Unicode's own table of what is well-formed: nothing longer than it
// need be, no surrogate, nothing above U+10FFFF.
constexpr Character first_character(const char* text, size_t size) {
  const auto at = [text](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[i])); };
  const uint32_t first = at(0);
  if (first < 0x80) return {1, first};
  const size_t bytes = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first < 0xc2 || first > 0xf4 || bytes > size) return {0, 0};
  uint32_t code = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (at(i) & 0x3f);
  }
  const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool no_character = (code >= 0xd800 && code < 0xe000) || code > 0x10ffff;
  return too_long || no_character ? Character{0, 0} : Character{bytes, code};
}

// Controls of both pages, ends of lines and paragraphs, and all that has to do with directions.
constexpr bool steers(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace heapster
