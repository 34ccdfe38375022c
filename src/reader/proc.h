// SPDX-License-Identifier: MIT
//
// What the kernel says about a process. A segment outlives its process and cannot know of it, so
// whether it is alive is always asked here, by pid and start time together: pids come back.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layout/segment.h"

namespace heapster::reader {

// Field 22 of /proc/PID/stat; nothing where there is no such process.
std::optional<uint64_t> start_ticks_of(uint32_t pid);

// A line of /proc/PID/maps.
struct Mapping {
  uint64_t offset;
  uint64_t inode;
  uint32_t major, minor;  // of the device
  bool shared;
  std::string path;  // as the kernel writes it; empty where there is none
};
// Nothing where the kernel does not let us look.
std::optional<std::vector<Mapping>> mappings_of(uint32_t pid);

// From where a process looks at the system.
struct View {
  uint64_t pid_namespace;
  uint64_t mount_namespace;
  std::string root;

  bool operator==(const View&) const = default;
};
// `process` is a name in /proc. Nothing where there is no such process, or it is none of ours to look at.
std::optional<View> view_of(const std::string& process);
bool in_our_namespace(uint64_t pid_namespace);

// Its process number in its own PID namespace.
std::optional<uint32_t> inner_pid_of(uint32_t pid);

// The present name of a thread, empty where there is none.
std::string thread_name(uint32_t pid, uint32_t tid);

std::string boot_id();
double epoch_now();

// How a process that is there stands to a segment that names it.
enum class Hold {
  kMapped,    // it writes to this very file
  kReleased,  // it has let go of it: an exec
};
// `pid` is the process as we number it. One whose mappings we may not see counts as holding on, unless it has
// rights that only an exec gives.
Hold hold_of(uint32_t pid, const Identity& identity, uint64_t inode);

}  // namespace heapster::reader
