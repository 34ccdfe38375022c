// SPDX-License-Identifier: MIT
//
// What the kernel tells of processes, read by system calls alone.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

struct ProcessStat {
  uint32_t parent;
  uint64_t start_ticks;
};

// /proc/PID/stat of a process; pid 0: of ourselves. False where /proc does not tell.
bool read_stat(uint32_t pid, ProcessStat& stat);

// Whether the kernel tells us the same start of a process as it tells that process. Yes where it does not say.
bool shares_our_clock(uint32_t pid);

// Fills who we are: pid, parent, start, namespace, uid, build-id of the executable. What cannot be
// learned stays 0.
void identify(Identity& identity);

// A small file's first bytes as text, without the line's end.
size_t read_text(const char* path, char* to, size_t room);

// Whether RLIMIT_FSIZE lets us write a file of so many bytes; going beyond it would be a SIGXFSZ.
bool file_size_allowed(uint64_t bytes);

// The file that runs, as the kernel names it; as the program was called where it does not tell. It is looked for once,
// and kept as a string that lasts.
void find_executable(const char* first_argument);
const char* executable_path();

// Usage so far, by getrusage.
void read_usage(Ending& ending);

}  // namespace heapster::preload
