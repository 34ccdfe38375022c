// SPDX-License-Identifier: MIT
//
// The tables of sampled stacks made by hand, to be put behind a segment's slots.

#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layout/stacks.h"
#include "synthetic.h"

namespace heapster::test {

class StackTables {
 public:
  explicit StackTables(uint64_t mean_bytes) { sampling.mean_bytes = mean_bytes; }

  // Its number, as frames name it. The build id is `seed` in each byte; 0: it has none.
  uint16_t add_module(std::string_view path, uint64_t start, uint64_t end, uint64_t bias, uint8_t seed);
  // Its place; frames are {module's number, address}, innermost first.
  uint32_t add_stack(std::initializer_list<std::pair<uint16_t, uint64_t>> addresses);
  // A block that was sampled at that stack, and stands for `blocks` of `bytes` each.
  void allocate(uint32_t stack, uint64_t bytes, uint64_t blocks);
  // The same, live: it has an entry of its own.
  void keep(uint32_t stack, uint64_t bytes, uint64_t blocks, uint32_t slot = 0, uint32_t generation = 1);
  // Allocated and freed again after so many microseconds.
  void pass(uint32_t stack, uint64_t bytes, uint64_t blocks, uint64_t microseconds, bool elsewhere = false);

  // The file of `segment` with these tables.
  std::string behind(Segment& segment) const;

  Sampling sampling{};
  std::vector<Module> modules;
  std::vector<Stack> stacks;
  std::vector<uint64_t> frames;
  std::vector<Sample> samples;
};

// A program that leaks, one that holds on, one that is busy, in a library and in an executable with 512 KiB between
// samples: for goldens and seeds.
StackTables busy_stacks();

}  // namespace heapster::test
