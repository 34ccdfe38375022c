// SPDX-License-Identifier: MIT
//
// Files of which one section is empty, holds one item, or all that it has room for: what each writer writes, the
// reader must read.

#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "reader/snapshot.h"
#include "synthetic.h"

namespace heapster::test {

struct Filled {
  SectionType type;
  const char* name;
  uint64_t items;  // 0, 1, or as many as the preload may write

  friend std::ostream& operator<<(std::ostream& out, const Filled& f) { return out << f.name << f.items; }
};

// Every section that may be empty, in each of the three ways.
std::vector<Filled> filled_sections();

// A segment with the tables of stacks behind it; all other sections hold one item.
std::string filled_segment(Segment segment, const Filled& filled);

// How many items of that section a snapshot tells of.
uint64_t items_told(const reader::Snapshot& snapshot, SectionType type);
uint64_t items_expected(const Filled& filled);

}  // namespace heapster::test
