// SPDX-License-Identifier: MIT
//
// The measured child of `heapster run`: started with its own signals, stdin and stdout untouched,
// waited for, and told of every signal that somebody sends to us in its stead, but the two that
// nobody can take (KILL, STOP).

#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "reader/result.h"

namespace heapster::tool {

// Who a process is, beyond its number.
struct Child {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
};

struct Ended {
  int status;          // as a shell would say it: the exit status, or 128 + the signal
  int signal;          // that ended it, or 0
  int wait_status;     // as waitpid tells it
  uint64_t time;       // of CLOCK_MONOTONIC, nanoseconds
  uint32_t oom_kills;  // by the kernel, in its cgroup, meanwhile
};

using Environment = std::vector<std::pair<std::string, std::string>>;

// A child between its start and its end. While one lives, the signals that a person or a service
// manager sends are ours to pass on.
class Supervisor {
 public:
  Supervisor();
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Starts the program with these variables set besides ours, and HEAPSTER_ROOT naming it.
  reader::Result<Child> start(const std::string& program, const std::vector<std::string>& command,
                              const Environment& environment);

  // Waits for its end; calls `meanwhile` about twice a second.
  Ended wait(const Child& child, const std::function<void()>& meanwhile);

 private:
  uint64_t before_ = 0;  // the mask of signals that we were started with
  struct sigaction child_before_ {};
};

}  // namespace heapster::tool
