// SPDX-License-Identifier: MIT
//
// What the kernel says about a process. A segment outlives its process and cannot know of it, so
// whether it is alive is always asked here, by pid and start time together: pids come back.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "layout/segment.h"

namespace heapster::reader {

// Field 22 of /proc/PID/stat; nothing where there is no such process.
std::optional<uint64_t> start_ticks_of(uint32_t pid);

// Whether the process has the file mapped; true where the kernel does not let us look.
bool maps_inode(uint32_t pid, uint64_t inode);

// The present name of a thread, empty where there is none.
std::string thread_name(uint32_t pid, uint32_t tid);

std::string boot_id();
double epoch_now();

enum class Presence {
  kMapped,    // the process is there and writes to this very file
  kUnmapped,  // the process is there and has let go of it: an exec
  kGone,
};
Presence presence(const Identity& identity, const std::string& boot, uint64_t inode);

}  // namespace heapster::reader
