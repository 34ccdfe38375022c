// SPDX-License-Identifier: MIT
//
// A program in narrow circumstances, and what it can see of itself. Each prints what it found, so that a test
// can compare two runs.

#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
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
                         {"locked", locked},
                         {"in-chroot", in_chroot},
                         {"without-descriptors", without_descriptors},
                         {"user-namespace", in_a_user_namespace},
                         {"modest", modest},
                         {nullptr, nullptr}};

}  // namespace scenario
