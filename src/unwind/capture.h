// SPDX-License-Identifier: MIT
//
// Takes the stack of the calling thread: for each frame one look into a cache of rows, two checks, two loads.
//
// Successive stacks of a thread have their outer frames in common. So what was walked last time is kept as a trail,
// and as soon as a frame has the registers that it had then, the rest is not walked again but checked: a frame's
// registers and its row give the next one's, so the words that they were read from, return addresses and saved frame
// pointers, need only be the same still. That is a third of the price, and as exact.
//
// Safe by construction: it reads the thread's own stack between two bounds that it is given, and unwind tables of
// loaded objects; it calls nothing but the look-up of an object, allocates nothing, holds no lock. Two threads
// that fill the same entry of the cache write the same; one that reads meanwhile finds that key and row do not fit.

#pragma once

#include <cstddef>
#include <cstdint>

#include "unwind/cfi.h"

namespace heapster::unwind {

// A thread's stack: what may be read lies from the stack pointer up to `top`.
struct Bounds {
  uintptr_t bottom;
  uintptr_t top;
  bool holds(uintptr_t address) const { return address >= bottom && address < top; }
};

// Which object an address lies in; without tables where in none, or in one that has none.
struct Place {
  Tables tables;
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
  uint64_t age;  // how often it was emptied
};

// A frame: the module in the upper 16 bits, the address below. Return addresses are kept as they are; the call is
// before them.
inline constexpr unsigned kAddressBits = 48;
constexpr uint64_t address_of(uint64_t frame) { return frame & ((uint64_t{1} << kAddressBits) - 1); }
constexpr uint16_t module_of(uint64_t frame) { return static_cast<uint16_t>(frame >> kAddressBits); }

struct Registers {
  uintptr_t instruction;
  uintptr_t stack;
  uintptr_t frame;
};

// Those of the function that called the one which this is in, as they are after the call. That one must not be inlined.
__attribute__((always_inline)) inline Registers registers_of_caller() {
  const auto* frame = static_cast<const uintptr_t*>(__builtin_frame_address(0));
  return {reinterpret_cast<uintptr_t>(__builtin_return_address(0)), reinterpret_cast<uintptr_t>(frame + 2), frame[0]};
}

// What a thread's last capture went along; zeroed memory is an empty one. It lies at the end of the tables, so that a
// capture which differs in its inner frames leaves the outer ones where they are.
struct Trail {
  static constexpr unsigned kMost = 64;
  struct Stop {
    uint64_t key;        // of the instruction, as in the cache
    uintptr_t stack;     // the stack pointer there,
    uintptr_t frame;     // the frame pointer,
    uintptr_t frame_at;  // and where the next stop's was read; 0: nowhere
  };
  struct Stops {
    Stop at[kMost];
    uint64_t frames[kMost];
  };
  uintptr_t top;  // of the stack
  uint64_t age;   // of the cache
  unsigned depth;
  bool complete;
  Stops last;
  Stops fresh;
};

struct Capture {
  const uint64_t* frames;  // innermost first; in the trail
  unsigned depth;
  bool complete;  // the outermost function was reached
  bool again;     // the same as the last one
};

// The frames from these registers on, which are those of a function that has called something.
Capture capture(RowCache& cache, FindPlace find, const Bounds& bounds, const Registers& from, Trail& trail);

}  // namespace heapster::unwind
