// SPDX-License-Identifier: MIT
//
// Children of every kind, and what they may and may not change in their parent's numbers.

#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "scenario.h"

extern char** environ;

namespace scenario {

namespace {

void allocate(int blocks, size_t size) {
  for (int i = 0; i < blocks; ++i) keep(malloc(size));
}

int wait_for(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

pid_t raw_fork() { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr)); }

// The parent has 1,000 live blocks of 100; the child adds 300 of 200 and frees nothing.
template <typename Fork>
int parent_and_child(Fork make_child) {
  allocate(1000, 100);
  const pid_t pid = make_child();
  if (pid == 0) {
    allocate(300, 200);
    _exit(0);
  }
  tell("child", pid);
  return wait_for(pid);
}
int by_fork(int, char**) { return parent_and_child(fork); }
int by_underscore_fork(int, char**) { return parent_and_child(_Fork); }
int by_clone(int, char**) { return parent_and_child(raw_fork); }

// While only the child allocates, the test compares the parent's segment byte for byte.
int parent_idle(int, char**) {
  allocate(1000, 100);
  const pid_t pid = fork();
  if (pid == 0) {
    ready("child");
    allocate(100000, 300);
    ready("done");
    _exit(0);
  }
  return wait_for(pid);
}

int by_vfork(int, char**) {
  allocate(1000, 100);
  const pid_t pid = vfork();
  if (pid == 0) _exit(5);
  return wait_for(pid) == 5 ? 0 : 1;
}

int by_spawn(int argument_count, char** arguments) {
  allocate(1000, 100);
  if (argument_count == 0) return 1;
  pid_t pid = 0;
  if (posix_spawnp(&pid, arguments[0], nullptr, nullptr, arguments, environ) != 0) return 1;
  return wait_for(pid);
}

// Forks while 8 threads allocate; no child and no parent may hang.
int storm(int argument_count, char** arguments) {
  const int forks = argument_count > 0 ? std::atoi(arguments[0]) : 200;
  static std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      while (!stop) free(keep(malloc(100)));
    });
  }
  int bad = 0;
  for (int i = 0; i < forks; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      free(keep(malloc(50)));
      _exit(0);
    }
    bad += wait_for(pid) != 0;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return bad;
}

}  // namespace

const Entry kForks[] = {
    {"fork", by_fork},   {"_Fork", by_underscore_fork}, {"clone", by_clone}, {"parent-idle", parent_idle},
    {"vfork", by_vfork}, {"spawn", by_spawn},           {"storm", storm},    {nullptr, nullptr}};

}  // namespace scenario
