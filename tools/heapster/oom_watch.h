// SPDX-License-Identifier: MIT
//
// Whether the kernel killed for want of memory while a program ran: its cgroup counts that, or else the whole system.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace heapster::tool {

class OomWatch {
 public:
  explicit OomWatch(pid_t pid) : pid_(pid) { look(); }

  // Now and then: the process may be moved to another cgroup.
  void look();
  // How many it killed since the beginning, as of the last look.
  uint32_t kills() const { return static_cast<uint32_t>(before_ + (last_ - first_)); }

 private:
  pid_t pid_;
  std::string file_;     // where the count is told
  uint64_t before_ = 0;  // in cgroups that it was moved away from
  uint64_t first_ = 0;   // the count when it came here
  uint64_t last_ = 0;
};

}  // namespace heapster::tool
