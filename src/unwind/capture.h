// SPDX-License-Identifier: MIT
//
// Takes the stack of the calling thread: for each frame one look into a cache of rows, two checks, two loads.
//
// Safe by construction: it reads the thread's own stack between two bounds that it is given, and unwind tables of
// loaded objects; it calls nothing but the look-up of an object, allocates nothing, holds no lock. Two threads
// that fill the same entry of the cache write the same; one that reads meanwhile finds that key and row do not fit.

#pragma once

#include <cstddef>
#include <cstdint>

#include "unwind/row.h"

namespace heapster::unwind {

// A thread's stack: what may be read lies from the stack pointer up to `top`.
struct Bounds {
  uintptr_t bottom;
  uintptr_t top;
  bool holds(uintptr_t address) const { return address >= bottom && address < top; }
};

// Which object an address lies in; a null header where in none, or in one without unwind tables.
struct Place {
  const uint8_t* eh_frame_hdr;
  uint16_t module;  // as the caller numbers them, below 2^kModuleBits
};
using FindPlace = Place (*)(uintptr_t address);

// Direct-mapped by address. Zeroed memory is an empty cache.
struct RowCache {
  static constexpr size_t kEntries = 8192;
  struct Entry {
    uint64_t key;  // address ^ row
    uint64_t row;
  };
  Entry entries[kEntries];
};

// A frame: the module in the upper 16 bits, the address below. Return addresses are kept as they are; the call is
// before them.
inline constexpr unsigned kAddressBits = 48;
constexpr uint64_t address_of(uint64_t frame) { return frame & ((uint64_t{1} << kAddressBits) - 1); }
constexpr uint16_t module_of(uint64_t frame) { return static_cast<uint16_t>(frame >> kAddressBits); }

struct Capture {
  unsigned depth;
  bool complete;  // the outermost function was reached
};

// The frames from the caller's own on, innermost first.
__attribute__((noinline)) Capture capture(RowCache& cache, FindPlace find, const Bounds& bounds, uint64_t* frames,
                                          unsigned most);

}  // namespace heapster::unwind
