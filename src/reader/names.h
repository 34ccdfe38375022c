// SPDX-License-Identifier: MIT
//
// What addresses are called: the bridge between src/symbols, which looks names up, and src/report, which prints them.
// Frames whose names nobody found are called after their place, module+0xoffset, so that every frame has a name.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "reader/shared_text.h"
#include "reader/stacks.h"

namespace heapster::reader {

// One function at an address.
struct Location {
  SharedText function;  // as people write it
  SharedText file;      // of the source; empty: not known
  uint32_t line = 0;    // 0: not known
  bool known = true;    // false: `function` is a place, not a name

  friend bool operator==(const Location&, const Location&) = default;
};

// The functions at one address, innermost first: those that the compiler inlined, then the one that is really there.
using Locations = std::vector<Location>;

class Names {
 public:
  // Where nobody looked: all places.
  explicit Names(const Stacks& stacks) : stacks_(&stacks) {}

  void set(const Frame& frame, Locations locations);
  // Never empty.
  const Locations& of(const Frame& frame) const;

 private:
  const Stacks* stacks_;  // outlives this
  mutable std::map<Frame, Locations> names_;
};

// module+0xoffset, or the bare address where the module is not known.
std::string place_text(const Stacks& stacks, const Frame& frame);

}  // namespace heapster::reader
