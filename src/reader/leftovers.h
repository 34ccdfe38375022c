// SPDX-License-Identifier: MIT
//
// What lies in a run directory and belongs to no process that runs: segments of killed processes, snapshots that nobody
// collected, and files that were never finished.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reader/held_directory.h"

namespace heapster::reader {

enum class LeftKind { kSegment, kSnapshot, kUnfinished };
std::string_view name_of(LeftKind kind);

struct Leftover {
  std::string name;
  LeftKind kind;
  uint64_t bytes;  // that the file really takes
  double changed;  // seconds since the epoch
};

std::vector<Leftover> leftovers_in(const HeldDirectory& directory);

uint64_t bytes_of(const std::vector<Leftover>& leftovers);

}  // namespace heapster::reader
