// SPDX-License-Identifier: MIT
//
// How to get from a function to its caller, at one address: where the caller's stack pointer was (the CFA,
// "canonical frame address"), and where its frame pointer lies. Compilers describe far more; for code made by
// gcc, clang, rustc and ghc on x86-64 these two are enough, since nothing but the stack and the frame pointer is
// ever the base of a CFA. A row packs into one word, so that a cache of them can be read without a lock.

#pragma once

#include <cstdint>

namespace heapster::unwind {

enum class Base : uint8_t {
  kStop = 1,     // no way on: outermost, or, with a lost frame pointer, not understood
  kStack,        // CFA = stack pointer + offset
  kFrame,        // CFA = frame pointer + offset
  kFrameStored,  // CFA lies at frame pointer + offset: functions that align their stack
  kSignal,       // the kernel's frame of a signal: registers lie in it
};

enum class Saved : uint8_t {
  kSame,     // the frame pointer is the caller's still
  kAtCfa,    // it was saved at CFA + offset
  kAtFrame,  // it was saved at frame pointer + offset
  kLost,
};

struct Row {
  Base base = Base::kStop;
  Saved saved = Saved::kLost;
  int32_t cfa_offset = 0;    // bytes, a multiple of 8
  int32_t saved_offset = 0;  // bytes, a multiple of 8
  uint16_t module = 0;
};

inline constexpr unsigned kOffsetBits = 21;  // of eighths: offsets of 8 MiB either way
inline constexpr unsigned kModuleBits = 14;

constexpr bool fits(int64_t offset) {
  constexpr int64_t kMost = int64_t{1} << (kOffsetBits + 2);
  return offset % 8 == 0 && offset >= -kMost && offset < kMost;
}

// Never 0.
constexpr uint64_t pack(const Row& row) {
  constexpr uint64_t kMask = (uint64_t{1} << kOffsetBits) - 1;
  const auto eighths = [](int32_t offset) { return static_cast<uint64_t>(static_cast<int64_t>(offset) / 8) & kMask; };
  return static_cast<uint64_t>(row.base) | static_cast<uint64_t>(row.saved) << 3 | eighths(row.cfa_offset) << 5 |
         eighths(row.saved_offset) << (5 + kOffsetBits) | static_cast<uint64_t>(row.module) << (5 + 2 * kOffsetBits);
}

constexpr Row unpack(uint64_t word) {
  const auto offset = [word](unsigned at) {
    return static_cast<int32_t>(static_cast<int64_t>(word << (64 - kOffsetBits - at)) >> (64 - kOffsetBits) << 3);
  };
  return {.base = static_cast<Base>(word & 7),
          .saved = static_cast<Saved>(word >> 3 & 3),
          .cfa_offset = offset(5),
          .saved_offset = offset(5 + kOffsetBits),
          .module = static_cast<uint16_t>(word >> (5 + 2 * kOffsetBits))};
}

}  // namespace heapster::unwind
