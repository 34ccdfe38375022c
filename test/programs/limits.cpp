// SPDX-License-Identifier: MIT
//
// A program in narrow circumstances, and what it can see of itself. Each prints what it found, so that a test
// can compare two runs.

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "scenario.h"

extern char** environ;

namespace scenario {

namespace {

int errno_before_main = -1;
__attribute__((constructor)) void remember_errno() { errno_before_main = errno; }

// Allocates in every way in which a preload might need something: here, in threads, in a child.
int live_a_little() {
  for (int i = 0; i < 1000; ++i) keep(malloc(100));
  int started = 0;
  for (int i = 0; i < 40; ++i) {
    pthread_t thread;
    const auto body = [](void*) -> void* { return free(keep(malloc(200))), nullptr; };
    if (pthread_create(&thread, nullptr, body, nullptr) != 0) continue;
    pthread_join(thread, nullptr);
    ++started;
  }
  tell("threads", started);
  const pid_t pid = fork();
  if (pid == 0) _exit(malloc(100) != nullptr ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  tell("child", status);
  return 7;
}

void print_status() {
  FILE* status = fopen("/proc/self/status", "re");
  char line[256];
  while (status != nullptr && fgets(line, sizeof line, status) != nullptr) {
    for (const char* name : {"Threads:", "SigBlk:", "SigIgn:", "SigCgt:", "Umask:", "Seccomp:", "NoNewPrivs:"}) {
      if (strncmp(line, name, strlen(name)) == 0) fputs(line, stdout);
    }
  }
  if (status != nullptr) fclose(status);
}

void print_descriptors() {
  for (int fd = 0; fd < 64; ++fd) {
    char path[32], target[256] = {};
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, target, sizeof target - 1) < 0) continue;
    if (char* number = strchr(target, '[')) *number = '\0';  // of a pipe or socket
    printf("fd %d %s\n", fd, target);
  }
}

// All that a preload might have changed.
int state(int, char**) {
  printf("errno %d\n", errno_before_main);
  const char* error = dlerror();
  printf("dlerror %s\n", error != nullptr ? error : "none");
  print_descriptors();
  print_status();
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (strncmp(*variable, "LD_PRELOAD=", 11) != 0) puts(*variable);
  }
  for (int limit = 0; limit < RLIMIT_NLIMITS; ++limit) {
    rlimit value{};
    getrlimit(static_cast<__rlimit_resource>(limit), &value);
    printf("limit %d %llu\n", limit, static_cast<unsigned long long>(value.rlim_cur));
  }
  char name[16] = {}, directory[512] = {};
  prctl(PR_GET_NAME, name);
  printf("%s %s %d\n", name, getcwd(directory, sizeof directory), prctl(PR_GET_DUMPABLE));
  stack_t stack{};
  sigaltstack(nullptr, &stack);
  printf("altstack %d\n", stack.ss_flags);
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  while (maps != nullptr && fgets(line, sizeof line, maps) != nullptr) {
    if (strstr(line, "[stack]") != nullptr) printf("stack %.4s\n", strchr(line, ' ') + 1);
  }
  return 7;
}

extern "C" int __sigaction(int number, const struct sigaction* wanted, struct sigaction* old);

void handle(int) {}

struct KernelAction {
  __sighandler_t handler;
  unsigned long flags;
  void* restorer;
  uint64_t mask;
};

// Sets a handler and returns the one before, by each way that libc offers.
__sighandler_t by_sigaction(int number, __sighandler_t handler) {
  struct sigaction wanted {
  }, old{};
  wanted.sa_handler = handler;
  sigaction(number, nullptr, &old);
  printf("flags %x, restorer %d, mask %d\n", static_cast<unsigned>(old.sa_flags), old.sa_restorer != nullptr,
         sigismember(&old.sa_mask, SIGUSR1));
  __sigaction(number, &wanted, &old);
  return old.sa_handler;
}
__sighandler_t by_its_other_name(int number, __sighandler_t handler) {
  struct sigaction action {};
  action.sa_handler = handler;
  __sigaction(number, &action, &action);
  return action.sa_handler;
}
__sighandler_t by_system_call(int number, __sighandler_t handler) {
  KernelAction old{};
  syscall(SYS_rt_sigaction, number, nullptr, &old, sizeof old.mask);
  printf("of the kernel: flags %lx, restorer %d, mask %llx\n", old.flags, old.restorer != nullptr,
         static_cast<unsigned long long>(old.mask));
  signal(number, handler);
  return old.handler;
}

struct Door {
  const char* name;
  __sighandler_t (*set)(int, __sighandler_t);  // null: the function of that name
};
const Door kDoors[] = {{"sigaction", by_sigaction}, {"__sigaction", by_its_other_name},
                       {"syscall", by_system_call}, {"signal", nullptr},
                       {"bsd_signal", nullptr},     {"ssignal", nullptr},
                       {"sysv_signal", nullptr},    {"__sysv_signal", nullptr},
                       {"sigset", nullptr}};

const char* name_of(__sighandler_t handler) {
  return handler == SIG_DFL ? "default" : handler == SIG_ERR ? "error" : handler == handle ? "own" : "unknown";
}

// What a program is told that sets SIGUSR1's handler, puts back what it was told, and dies of the signal.
int signals(int, char**) {
  for (const Door& door : kDoors) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      auto* set = door.set != nullptr ? door.set : reinterpret_cast<decltype(door.set)>(dlsym(RTLD_DEFAULT, door.name));
      const __sighandler_t first = set(SIGUSR1, handle);
      const __sighandler_t second = set(SIGUSR1, first);
      const __sighandler_t third = set(SIGUSR1, first);
      printf("%s: %s, %s, %s\n", door.name, name_of(first), name_of(second), name_of(third));
      fflush(stdout);
      raise(SIGUSR1);
      _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("%d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
  }
  return 7;
}

#if defined(__x86_64__)
// Calls as a program does whose stack is off by 8.
asm(".text\n"
    ".type call_misaligned, @function\n"
    "call_misaligned:\n"
    "  mov %rdi, %rax\n"
    "  mov %rsi, %rdi\n"
    "  mov %rdx, %rsi\n"
    "  call *%rax\n"
    "  ret\n"
    ".size call_misaligned, .-call_misaligned\n");
extern "C" void* call_misaligned(const void* function, size_t first, size_t second);

template <typename Function, typename... Arguments>
void* misaligned(Function* function, Arguments... arguments) {
  const size_t words[2] = {(size_t)arguments...};
  return call_misaligned(reinterpret_cast<const void*>(function), words[0], words[1]);
}

void* allocate_misaligned(void*) {
  for (size_t i = 1; i < 5000; ++i) {
    const size_t size = i % 100 == 0 ? 300'000 : i;
    misaligned(free, keep(misaligned(malloc, size)));
    misaligned(free, keep(misaligned(calloc, size, 3)));
    misaligned(free, keep(misaligned(aligned_alloc, 64, size)));
    void* block = keep(misaligned(realloc, nullptr, size));
    block = keep(misaligned(realloc, block, 3 * size));
    misaligned(free, block);
    misaligned(malloc, SIZE_MAX / 2);
  }
  return nullptr;
}

// The first calls of a thread and of a fork's child among them.
int on_a_misaligned_stack(int, char**) {
  mallopt(M_ARENA_MAX, 1);  // where glibc makes another one, it wants an aligned stack itself
  allocate_misaligned(nullptr);
  pthread_t thread;
  pthread_create(&thread, nullptr, allocate_misaligned, nullptr);
  pthread_join(thread, nullptr);
  const pid_t child = static_cast<pid_t>(reinterpret_cast<intptr_t>(misaligned(fork)));
  if (child == 0) {
    allocate_misaligned(nullptr);
    misaligned(_exit, 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  tell("child", status);
  misaligned(exit, 7);
  return 1;
}
#endif

// How many keys of threads' data there are, which numbers the first ones have, and what is said of one that nobody
// made.
void print_keys(const char* when) {
  pthread_key_t keys[PTHREAD_KEYS_MAX];
  unsigned count = 0;
  while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], nullptr) == 0) ++count;
  printf("%s: most %d, from %u, %u, %u on\n", when, count >= PTHREAD_KEYS_MAX - 1, keys[0], keys[1], keys[30]);
  while (count != 0) pthread_key_delete(keys[--count]);
  printf("%s: %s\n", when, strerror(pthread_setspecific(0, when)));
}

int keys(int, char**) {
  free(keep(malloc(100)));
  print_keys("alone");
  for (const char* name : {"second", "third"}) {
    const auto body = [](void* when) -> void* {
      free(keep(malloc(100)));
      print_keys(static_cast<const char*>(when));
      return nullptr;
    };
    pthread_t thread;
    pthread_create(&thread, nullptr, body, const_cast<char*>(name));
    pthread_join(thread, nullptr);
  }
  return 7;
}

int locked(int, char**) {
  tell("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE) == 0 ? 0 : errno);
  return live_a_little();
}

int in_chroot(int, char** arguments) {
  tell("chroot", chroot(arguments[0]) == 0 && chdir("/") == 0 ? 0 : errno);
  return live_a_little();
}

int without_descriptors(int, char**) {
  const rlimit none = {0, 0};
  tell("setrlimit", setrlimit(RLIMIT_NOFILE, &none));
  return live_a_little();
}

int in_a_user_namespace(int, char**) {
  free(keep(malloc(10)));
  tell("unshare", unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
  return live_a_little();
}

int modest(int, char**) { return live_a_little(); }

}  // namespace

const Entry kLimits[] = {{"state", state},
                         {"keys", keys},
                         {"signals", signals},
#if defined(__x86_64__)
                         {"on-a-misaligned-stack", on_a_misaligned_stack},
#endif
                         {"locked", locked},
                         {"in-chroot", in_chroot},
                         {"without-descriptors", without_descriptors},
                         {"user-namespace", in_a_user_namespace},
                         {"modest", modest},
                         {nullptr, nullptr}};

}  // namespace scenario
