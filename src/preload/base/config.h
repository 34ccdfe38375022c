// SPDX-License-Identifier: MIT
//
// The options in force: options.def as a struct, filled from the environment that the constructor
// is handed. getenv is not asked: bash exports its own, and a program may have changed environ by
// then. Values are copied, because programs write over their environment (setproctitle).

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/failures.h"

namespace heapster::preload {

inline constexpr const char* kDefaultOut = "heapster.%e.%p.heap";

struct Config {
  const char* out;  // pattern
  bool out_set;
  const char* run_dir;
  const char* label;  // empty: none
  uint32_t root_pid;  // 0: not said
  uint64_t root_ticks;
  int signal;       // 0: none
  uint64_t stacks;  // mean bytes between samples; 0: none
  uint64_t limit;   // of live bytes; 0: none
  Failures fail;    // which allocations are to fail
  bool follow;
  bool verbose;
};

extern Config config;

// Told of each HEAPSTER_ variable as "NAME=value": in force, or refused.
using OptionReport = void (*)(const char* assignment, bool accepted);

// Sets the defaults, then reads the environment. Unknown HEAPSTER_ names and values that are not
// understood leave the default. With a null environment only the defaults are set.
void read_config(const char* const* environment, OptionReport report);

}  // namespace heapster::preload
