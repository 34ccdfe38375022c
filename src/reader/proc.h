// SPDX-License-Identifier: MIT
//
// What the kernel says about a process. A segment outlives its process and cannot know of it, so
// whether it is alive is always asked here, by pid and start time together: pids come back.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layout/segment.h"

namespace heapster::reader {

// A process is there while any of its threads is: the first may have ended, and tells little then.
struct Pulse {
  uint64_t start_ticks;  // field 22 of /proc/PID/stat
  uint32_t thread;       // one that lives
};
std::optional<Pulse> pulse_of(uint32_t pid);
// Nothing where there is no such process.
std::optional<uint64_t> start_ticks_of(uint32_t pid);

// A file that a process has mapped and writes through (MAP_SHARED).
struct SharedFile {
  uint64_t offset;
  uint64_t inode;
  uint32_t major, minor;  // of the device
  std::string path;       // as the kernel writes it
};
// Nothing where the kernel does not let us look.
std::optional<std::vector<SharedFile>> shared_files_of(uint32_t pid);
std::vector<SharedFile> parse_shared_files(std::string_view maps);  // out of the text of /proc/PID/maps
// Whether a process has a library of this name loaded.
bool has_loaded(uint32_t pid, const std::string& library);

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
// Since the start of a process that is there, by its own clock: in another time namespace by the time of day.
uint64_t nanoseconds_since_start(uint32_t pid, const Identity& identity);

// Only an exec gives a process that had no rights a real and an effective user or group that differ.
bool gained_rights(uint32_t pid, const Identity& identity);

}  // namespace heapster::reader
