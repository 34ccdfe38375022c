// SPDX-License-Identifier: MIT
//
// Measured processes wherever they are: of other users, with a run directory of their own, and those that see the
// system otherwise than we do, in a container or a chroot. What they have mapped tells where their segment is;
// /proc/PID/root leads there.

#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "layout/segment.h"
#include "reader/proc.h"

namespace heapster::reader {

// A segment that a process has mapped, at a path that leads there from here.
struct MappedSegment {
  std::string path;
  uint64_t device;
  uint64_t inode;
};
std::vector<MappedSegment> mapped_segments(uint32_t pid);

// How a process that is there stands to a segment that names it.
enum class Hold {
  kMapped,    // it writes to this very file
  kReleased,  // it has let go of it: an exec
};
struct Standing {
  uint32_t pid;  // as we number it
  Hold hold;
};

// The processes of the system, looked at once and only if somebody asks.
class Strangers {
 public:
  // The process that the segment with this inode names; nothing where it has ended, or lives where we cannot see it.
  // Whoever maps the file is that process. Another is so by its number and start; one whose mappings we may not see
  // counts as holding on, unless it has rights that only an exec gives.
  std::optional<Standing> standing_of(const Identity& identity, uint64_t inode);

  // The segments that any process has mapped, each once, but those that are known.
  std::vector<MappedSegment> segments(const std::vector<MappedSegment>& known);

  const std::string& boot_id();

 private:
  struct Stranger {
    uint32_t pid;
    uint64_t pid_namespace;
    std::optional<uint32_t> inner_pid;  // asked for when it is needed, and once
    bool asked = false;
  };
  std::vector<Stranger>& all();
  using Files = std::optional<std::vector<SharedFile>>;
  const Files& files_of(uint32_t pid);
  std::optional<Standing> standing_as(uint32_t pid, const Identity& identity, uint64_t inode);

  std::optional<std::vector<Stranger>> all_;
  std::unordered_map<uint32_t, Files> files_;  // by process
  std::optional<std::string> boot_id_;
};

}  // namespace heapster::reader
