// SPDX-License-Identifier: MIT
//
// Each way in which a program can end, after 1,000 allocations of 100 bytes.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

void allocate() {
  for (int i = 0; i < 1000; ++i) keep(malloc(100));
}

int by_return(int, char**) {
  allocate();
  return 7;
}
int by_exit(int, char**) {
  allocate();
  exit(7);
}
int by_underscore_exit(int, char**) {
  allocate();
  _exit(7);
}
int by_capital_exit(int, char**) {
  allocate();
  _Exit(7);
}
int by_quick_exit(int, char**) {
  allocate();
  quick_exit(7);
}
int by_exit_in_thread(int, char**) {
  allocate();
  std::thread([] { exit(7); }).join();
  return 1;
}
int by_exit_in_handler(int, char**) {
  allocate();
  signal(SIGALRM, [](int) { exit(7); });
  raise(SIGALRM);
  return 1;
}
int by_last_thread(int, char**) {
  allocate();
  std::thread([main = pthread_self()] {
    pthread_join(main, nullptr);
    exit(7);
  }).detach();
  pthread_exit(nullptr);
}
int by_abort(int, char**) {
  allocate();
  abort();
}
int by_kill(int, char**) {
  allocate();
  kill(getpid(), SIGKILL);
  return 1;
}
int by_terminate(int, char**) {
  allocate();
  kill(getpid(), SIGTERM);
  return 1;
}

int by_pthread_exit(int, char**) {
  allocate();
  pthread_exit(nullptr);  // the last thread's: an exit with 0
}

// A thread asks for one snapshot after the other; the end comes in the middle of one.
void dump_on_and_on() {
  std::thread([] {
    for (;;) pthread_kill(pthread_self(), SIGUSR1);
  }).detach();
}
int by_exit_during_dumps(int, char**) {
  allocate();
  dump_on_and_on();
  usleep(3000 + getpid() % 1000);
  exit(7);
}

// Four threads end the program at the same moment.
int by_exits_at_once(int, char**) {
  allocate();
  static std::atomic<int> waiting{0};
  const auto end = [](void (*how)(int)) {
    for (++waiting; waiting < 4;) {
    }
    how(7);
  };
  for (int i = 0; i < 3; ++i) std::thread(end, _exit).detach();
  end(exit);
  return 1;
}

// Eight threads call exit() at the same moment, with stacks enough to make the snapshot take its time.
int by_eight_exits(int, char**) {
  allocate();
  for (int i = 0; i < 30'000; ++i) keep(malloc(5000));
  static pthread_barrier_t together;
  pthread_barrier_init(&together, nullptr, 8);
  const auto end = [] {
    pthread_barrier_wait(&together);
    exit(7);
  };
  for (int i = 0; i < 7; ++i) std::thread(end).detach();
  end();
  return 1;
}

// Children of a program that is always in the middle of a snapshot make one of their own.
int forks_during_dumps(int, char**) {
  allocate();
  dump_on_and_on();
  for (int i = 0; i < 100; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      free(keep(malloc(5000)));
      raise(SIGUSR1);
      _exit(0);
    }
    waitpid(pid, nullptr, 0);
  }
  return 0;
}

// Memory that only destructors free: it is not leaked.
struct Late {
  std::vector<std::unique_ptr<char[]>> blocks;
};
Late late;
int freed_by_destructors(int, char**) {
  for (int i = 0; i < 1000; ++i) late.blocks.push_back(std::make_unique<char[]>(100));
  return 0;
}

int exec_chain(int argument_count, char** arguments) {
  allocate();
  if (argument_count > 0) execvp(arguments[0], arguments);
  return 1;
}

// Stays until the test has looked.
int stay(int, char**) {
  allocate();
  ready("ready");
  return 0;
}

// Under a filter that kills at any system call but a few: nobody may add one to the program's.
int under_seccomp(int argument_count, char** arguments) {
  allocate();
  constexpr int kAllowed[] = {SYS_read,     SYS_write,  SYS_exit,  SYS_exit_group,     SYS_brk,
                              SYS_mmap,     SYS_munmap, SYS_futex, SYS_clone,          SYS_clone3,
                              SYS_mprotect, SYS_rseq,   SYS_wait4, SYS_rt_sigprocmask, SYS_set_robust_list};
  std::vector<sock_filter> filter = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (int number : kAllowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const std::string_view way = argument_count > 0 ? arguments[0] : "seccomp";
  const long set = way == "prctl"     ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0)
                   : way == "seccomp" ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                                      : syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
  if (set != 0) return 1;
  // std::thread would ask for more system calls than the heap does.
  static char stack[64 * 1024];
  const auto body = [](void*) {
    for (int i = 0; i < 100; ++i) free(keep(malloc(100)));
    return 0;
  };
  int status = 0;
  const pid_t child = clone(body, stack + sizeof stack, SIGCHLD, nullptr);
  if (waitpid(child, &status, 0) != child || status != 0) return 2;
  return 7;
}

}  // namespace

const Entry kEnds[] = {{"return", by_return},
                       {"exit", by_exit},
                       {"_exit", by_underscore_exit},
                       {"_Exit", by_capital_exit},
                       {"quick_exit", by_quick_exit},
                       {"exit-in-thread", by_exit_in_thread},
                       {"exit-in-handler", by_exit_in_handler},
                       {"last-thread", by_last_thread},
                       {"pthread-exit", by_pthread_exit},
                       {"exit-during-dumps", by_exit_during_dumps},
                       {"exits-at-once", by_exits_at_once},
                       {"eight-exits", by_eight_exits},
                       {"forks-during-dumps", forks_during_dumps},
                       {"abort", by_abort},
                       {"kill", by_kill},
                       {"terminate", by_terminate},
                       {"destructors", freed_by_destructors},
                       {"exec", exec_chain},
                       {"stay", stay},
                       {"seccomp", under_seccomp},
                       {nullptr, nullptr}};

}  // namespace scenario
