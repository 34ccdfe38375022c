// SPDX-License-Identifier: MIT
//
// Text without allocation: a bounded builder, and the few parsers that /proc and the options need.
// What does not fit is cut, and full() tells.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/characters.h"
#include "preload/base/libc.h"

namespace heapster::preload {

inline constexpr size_t kPathRoom = 4096;  // for a path as long as the kernel takes

class TextBuilder {
 public:
  TextBuilder(char* to, size_t room) : to_(to), room_(room) { to_[0] = '\0'; }

  TextBuilder& add(char letter) {
    if (size_ + 1 < room_) {
      to_[size_++] = letter;
      to_[size_] = '\0';
    } else {
      full_ = true;
    }
    return *this;
  }
  TextBuilder& add(const char* text) {
    for (; *text != '\0'; ++text) add(*text);
    return *this;
  }
  TextBuilder& add(const char* text, size_t size) {
    for (size_t i = 0; i < size; ++i) add(text[i]);
    return *this;
  }
  // With what may not be shown replaced.
  TextBuilder& add_printable(const char* text) {
    for (size_t left = strlen(text); left != 0;) {
      const Character first = first_character(text, left);
      const bool shown = first.bytes != 0 && !steers(first.code);
      const size_t bytes = first.bytes != 0 ? first.bytes : 1;
      shown ? add(text, bytes) : add('?');
      text += bytes;
      left -= bytes;
    }
    return *this;
  }
  TextBuilder& add(uint32_t number) { return add(uint64_t{number}); }
  TextBuilder& add(uint64_t number) {
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (count != 0) add(digits[--count]);
    return *this;
  }

  bool full() const { return full_; }
  size_t size() const { return size_; }

 private:
  char* to_;
  size_t room_;
  size_t size_ = 0;
  bool full_ = false;
};

inline bool equal(const char* a, const char* b) {
  const size_t size = strlen(a);
  return size == strlen(b) && memcmp(a, b, size) == 0;
}

inline bool starts_with(const char* text, const char* prefix) {
  for (; *prefix != '\0'; ++text, ++prefix) {
    if (*text != *prefix) return false;
  }
  return true;
}

// The last '/'-separated part.
inline const char* base_name(const char* path) {
  const char* base = path;
  for (const char* at = path; *at != '\0'; ++at) {
    if (*at == '/') base = at + 1;
  }
  return base;
}

// Reads decimal digits and moves past them; false where there are none or too many.
inline bool parse_number(const char*& text, uint64_t& number) {
  if (*text < '0' || *text > '9') return false;
  number = 0;
  for (; *text >= '0' && *text <= '9'; ++text) {
    if (__builtin_mul_overflow(number, uint64_t{10}, &number)) return false;
    if (__builtin_add_overflow(number, static_cast<uint64_t>(*text - '0'), &number)) return false;
  }
  return true;
}

}  // namespace heapster::preload
