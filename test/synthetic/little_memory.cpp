// SPDX-License-Identifier: MIT

#include "little_memory.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <new>

namespace heapster::test {

namespace {

void limit_memory(size_t bytes) {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + bytes;
  const rlimit limit{most, most};
  setrlimit(RLIMIT_AS, &limit);
}

}  // namespace

bool does_with(size_t bytes, const std::function<bool()>& work) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (!kSanitized) limit_memory(bytes);
    try {
      _exit(work() ? 0 : 1);
    } catch (const std::bad_alloc&) {
      _exit(2);
    }
  }
  int status = -1;
  waitpid(pid, &status, 0);
  return status == 0;
}

}  // namespace heapster::test
