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

using MakeChild = pid_t (*)();
MakeChild maker(const char* name) {
  if (name == nullptr) return fork;
  if (std::strcmp(name, "_Fork") == 0) return _Fork;
  if (std::strcmp(name, "clone") == 0) return raw_fork;
  return fork;
}

// While only the child allocates, the test compares the parent's segment byte for byte.
int parent_idle(int, char** arguments) {
  allocate(1000, 100);
  const pid_t pid = maker(arguments[0])();
  if (pid == 0) {
    ready("child");
    allocate(100000, 300);
    ready("done");
    _exit(0);
  }
  return wait_for(pid);
}

// The child waits with its first call until the parent, forked, has allocated ten times as much.
int parent_goes_on(int, char** arguments) {
  allocate(1000, 100);
  int channel[2];
  if (pipe(channel) != 0) return 1;
  const pid_t pid = maker(arguments[0])();
  if (pid == 0) {
    char byte;
    if (read(channel[0], &byte, 1) != 1) _exit(1);
    allocate(300, 200);
    _exit(0);
  }
  allocate(10000, 100);
  if (write(channel[1], "", 1) != 1) return 1;
  return wait_for(pid);
}

// By clone(), which starts the child in a function and on a stack of its own.
int by_clone_function(int, char**) {
  allocate(1000, 100);
  static char stack[64 * 1024];
  const auto body = [](void*) {
    allocate(300, 200);
    _exit(0);
    return 0;
  };
  const pid_t pid = clone(body, stack + sizeof stack, SIGCHLD, nullptr);
  tell("child", pid);
  return wait_for(pid);
}

// As a daemon starts: the middle process never allocates, and every descriptor is closed.
int daemon(int, char**) {
  allocate(1000, 100);
  int channel[2];
  if (pipe(channel) != 0) return 1;
  const pid_t middle = fork();
  if (middle == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    dup2(channel[1], 0);
    closefrom(1);
    allocate(300, 200);
    const pid_t self = getpid();
    if (write(0, &self, sizeof self) != sizeof self) _exit(1);
    _exit(0);
  }
  close(channel[1]);
  pid_t grandchild = 0;
  if (read(channel[0], &grandchild, sizeof grandchild) != sizeof grandchild) return 1;
  tell("child", grandchild);
  char byte;
  while (read(channel[0], &byte, 1) > 0) {  // until it has ended
  }
  return wait_for(middle);
}

// A tree of processes: each has `depth` children, with one level less. Every one allocates 10 blocks.
int tree(int, char** arguments) {
  int depth = std::atoi(arguments[0]);
  std::vector<pid_t> children(static_cast<size_t>(depth));
  for (int level = 0; level < depth; ++level) {
    const pid_t pid = fork();
    if (pid == 0) {
      depth = level;
      level = -1;
      children.clear();
      children.resize(static_cast<size_t>(depth));
      for (int i = 0; i < 10; ++i) keep(malloc(5000));
      continue;
    }
    children[static_cast<size_t>(level)] = pid;
  }
  int bad = 0;
  for (const pid_t pid : children) bad += wait_for(pid) != 0;
  _exit(bad != 0);
}

// 6 threads fork at once, again and again, while nothing is allocated: each child finds the same baseline.
int forks_at_once(int, char**) {
  allocate(1000, 100);
  static std::atomic<int> waiting{0};
  static std::atomic<int> finished{0};
  static std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([] {
      for (++waiting; waiting < 6;) {
      }
      for (int k = 0; k < 20; ++k) {
        const pid_t pid = fork();
        if (pid == 0) {
          free(keep(malloc(50)));
          _exit(0);
        }
        bad += wait_for(pid) != 0;
      }
      for (++finished; finished < 6;) std::this_thread::yield();  // an ended thread's memory would be missed
    });
  }
  for (std::thread& thread : threads) thread.join();
  return bad;
}

// Daemons' children come by fork from a thread, and exec from one.
int exec_from_thread(int argument_count, char** arguments) {
  allocate(1000, 100);
  if (argument_count == 0) return 1;
  std::thread([arguments] { execvp(arguments[0], arguments); }).join();
  return 1;
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

// Forks while 8 threads allocate, with what the forking one leaves of the processors; no child and no
// parent may hang.
int storm(int argument_count, char** arguments) {
  const int forks = argument_count > 0 ? std::atoi(arguments[0]) : 200;
  static std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] {
      const sched_param lowest{};
      pthread_setschedparam(pthread_self(), SCHED_IDLE, &lowest);
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

const Entry kForks[] = {{"fork", by_fork},
                        {"_Fork", by_underscore_fork},
                        {"clone", by_clone},
                        {"clone-function", by_clone_function},
                        {"parent-idle", parent_idle},
                        {"parent-goes-on", parent_goes_on},
                        {"vfork", by_vfork},
                        {"spawn", by_spawn},
                        {"daemon", daemon},
                        {"tree", tree},
                        {"forks-at-once", forks_at_once},
                        {"exec-from-thread", exec_from_thread},
                        {"storm", storm},
                        {nullptr, nullptr}};

}  // namespace scenario
