// SPDX-License-Identifier: MIT
//
// Measured processes that see the system otherwise than we do: in a container or a chroot, with a
// process number and a run directory of their own. What they have mapped tells where their segment
// is; /proc/PID/root leads there.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layout/segment.h"

namespace heapster::reader {

// A segment that a process has mapped, at a path that leads there from here.
struct MappedSegment {
  std::string path;
  uint64_t device;
  uint64_t inode;
};
std::vector<MappedSegment> mapped_segments(uint32_t pid);

// The processes of the system, looked at once and only if somebody asks.
class Strangers {
 public:
  // The number by which we know the process; nothing where it has ended, or lives where we cannot see it.
  std::optional<uint32_t> pid_of(const Identity& identity);

  // The segments of all whose mount namespace or root is not ours, each once.
  std::vector<MappedSegment> segments();

 private:
  struct Stranger {
    uint32_t pid;
    uint64_t pid_namespace;
    bool elsewhere;                       // its paths are not ours
    std::optional<uint64_t> start_ticks;  // asked for when they are needed, and once
    bool asked = false;
  };
  std::vector<Stranger>& all();

  std::optional<std::vector<Stranger>> all_;
};

}  // namespace heapster::reader
