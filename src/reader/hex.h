// SPDX-License-Identifier: MIT
//
// Bytes as people write them: build-ids, in lower case.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace heapster::reader {

inline std::string hex(const uint8_t* bytes, size_t count) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace heapster::reader
