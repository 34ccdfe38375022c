// SPDX-License-Identifier: MIT

#include "preload/base/proc.h"

#include <elf.h>
#include <sys/resource.h>

#include "preload/base/build_id.h"
#include "preload/base/kernel.h"
#include "preload/base/process_state.h"
#include "preload/base/scratch.h"
#include "preload/base/string_store.h"
#include "preload/base/text.h"

namespace heapster::preload {

namespace {

// The inode in "pid:[4026531836]".
uint64_t pid_namespace() {
  char link[64];
  const long size = kernel::read_link("/proc/self/ns/pid", link, sizeof link - 1);
  if (size <= 0) return 0;
  link[size] = '\0';
  const char* at = link;
  while (*at != '\0' && *at != '[') ++at;
  uint64_t inode = 0;
  return *at == '[' && parse_number(++at, inode) ? inode : 0;
}

// The executable's program headers are in memory already; its file need not be opened.
void read_build_id(Identity& identity) {
  const auto* headers = reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR));
  const auto count = getauxval(AT_PHNUM);
  if (headers == nullptr) return;
  uintptr_t base = 0;  // of a program that is loaded where it was linked for
  for (unsigned long i = 0; i < count; ++i) {
    if (headers[i].p_type == PT_PHDR) base = reinterpret_cast<uintptr_t>(headers) - headers[i].p_vaddr;
  }
  find_build_id(headers, count, base, identity);
}

uint64_t in_nanoseconds(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_usec) * 1'000;
}

constinit const char* executable = "";

// /proc/self/exe leads to the dynamic linker where that was started with the program's name. Then the kernel gave it no
// interpreter, and it made the program's name the first argument.
long read_executable(const char* first_argument, char* to, size_t room) {
  const int file =
      getauxval(AT_BASE) == 0 && first_argument != nullptr ? kernel::open_at(AT_FDCWD, first_argument, O_PATH) : -1;
  if (file < 0) return kernel::read_link("/proc/self/exe", to, room);
  char link[32];
  TextBuilder(link, sizeof link).add("/proc/self/fd/").add(static_cast<uint64_t>(file));
  const long size = kernel::read_link(link, to, room);
  kernel::close(file);
  return size;
}

}  // namespace

size_t read_text(const char* path, char* to, size_t room) {
  to[0] = '\0';
  const int fd = kernel::open_at(AT_FDCWD, path, O_RDONLY);
  if (fd < 0) return 0;
  long size = kernel::read(fd, to, room - 1);
  kernel::close(fd);
  if (size <= 0) return 0;
  if (to[size - 1] == '\n') --size;
  to[size] = '\0';
  return static_cast<size_t>(size);
}

bool read_stat(uint32_t pid, ProcessStat& stat) {
  char path[32];
  if (pid == 0) {
    TextBuilder(path, sizeof path).add("/proc/self/stat");
  } else {
    TextBuilder(path, sizeof path).add("/proc/").add(pid).add("/stat");
  }
  char text[512];
  const size_t size = read_text(path, text, sizeof text);
  // "pid (name) state ppid …": the name may hold anything, so count from the last ')'.
  const char* at = text + size;
  while (at != text && *at != ')') --at;
  if (at == text) return false;
  uint64_t field = 0;
  for (int number = 2; number < 22; ++number) {
    while (*at != ' ' && *at != '\0') ++at;
    if (*at++ == '\0') return false;
    if (number + 1 != 4 && number + 1 != 22) continue;
    if (!parse_number(at, field)) return false;
    if (number + 1 == 4) stat.parent = static_cast<uint32_t>(field);
  }
  stat.start_ticks = field;
  return true;
}

bool shares_our_clock(uint32_t pid) {
  char path[48];
  TextBuilder(path, sizeof path).add("/proc/").add(pid).add("/ns/time");
  struct stat theirs {
  }, ours{};
  return kernel::call(__NR_stat, kernel::as_long(path), kernel::as_long(&theirs)) != 0 ||
         kernel::call(__NR_stat, kernel::as_long("/proc/self/ns/time"), kernel::as_long(&ours)) != 0 ||
         theirs.st_ino == ours.st_ino;
}

void identify(Identity& identity) {
  ProcessStat stat{};
  read_stat(0, stat);
  identity.pid = process.pid;
  identity.uid = process.uid;
  identity.parent_pid = stat.parent;
  identity.start_ticks = stat.start_ticks;
  identity.pid_namespace = pid_namespace();
  read_build_id(identity);
}

bool file_size_allowed(uint64_t bytes) {
  rlimit limit{};
  if (kernel::call(__NR_prlimit64, 0, RLIMIT_FSIZE, 0, kernel::as_long(&limit)) != 0) return true;
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

void read_usage(Ending& ending) {
  rusage usage{};
  kernel::call(__NR_getrusage, RUSAGE_SELF, kernel::as_long(&usage));
  ending.max_rss_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  ending.minor_faults = static_cast<uint64_t>(usage.ru_minflt);
  ending.major_faults = static_cast<uint64_t>(usage.ru_majflt);
  ending.user_nanoseconds = in_nanoseconds(usage.ru_utime);
  ending.system_nanoseconds = in_nanoseconds(usage.ru_stime);
}

void find_executable(const char* first_argument) {
  char(&path)[sizeof scratch.bytes] = scratch.bytes;
  const long size = read_executable(first_argument, path, sizeof path - 1);
  path[size > 0 ? size : 0] = '\0';
  executable = keep_string(size <= 0 && first_argument != nullptr ? first_argument : path);
}

const char* executable_path() { return executable; }

}  // namespace heapster::preload
