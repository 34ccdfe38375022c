// SPDX-License-Identifier: MIT
//
// What a segment is called in the run directory: <pid namespace>-<pid>-<start in ticks>. No other process has ever
// the same.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/base/text.h"

namespace heapster::preload {

struct SegmentOwner {
  uint64_t pid_namespace;
  uint32_t pid;
  uint64_t start_ticks;
};

class SegmentName {
 public:
  explicit SegmentName(const SegmentOwner& owner) {
    TextBuilder(name_, sizeof name_).add(owner.pid_namespace).add('-').add(owner.pid).add('-').add(owner.start_ticks);
  }
  explicit SegmentName(const Identity& identity)
      : SegmentName(SegmentOwner{identity.pid_namespace, identity.pid, identity.start_ticks}) {}
  operator const char*() const { return name_; }

 private:
  char name_[64];
};

// False for any other name; the directory holds snapshots, too.
inline bool parse_segment_name(const char* name, SegmentOwner& owner) {
  uint64_t field[3];
  for (int i = 0; i < 3; ++i) {
    if (!parse_number(name, field[i]) || *name != (i < 2 ? '-' : '\0')) return false;
    if (i < 2) ++name;
  }
  owner = {field[0], static_cast<uint32_t>(field[1]), field[2]};
  return true;
}

}  // namespace heapster::preload
