// SPDX-License-Identifier: MIT

#include "preload/sampling/own_stack.h"

#include <elf.h>
#include <sys/resource.h>

#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/process_state.h"
#include "preload/base/text.h"

namespace heapster::preload {

__thread unwind::Bounds known_stack __attribute__((tls_model("initial-exec"))) = {};

namespace {

using unwind::Bounds;

__thread Bounds foreign __attribute__((tls_model("initial-exec"))) = {};

// struct procmap_query of <linux/fs.h>, which Debian 12's headers do not have yet.
struct MappingQuery {
  uint64_t size;
  uint64_t flags;
  uint64_t address;
  uint64_t start;
  uint64_t end;
  uint64_t rest[8];
};
constexpr unsigned long kQueryMapping = 0xc0686611;  // PROCMAP_QUERY, Linux 6.11
static_assert(sizeof(MappingQuery) == 0x68);

bool parse_hexadecimal(const char*& at, uintptr_t& value) {
  const char* from = at;
  for (value = 0;; ++at) {
    const char letter = *at;
    if (letter >= '0' && letter <= '9') {
      value = value << 4 | static_cast<uintptr_t>(letter - '0');
    } else if (letter >= 'a' && letter <= 'f') {
      value = value << 4 | static_cast<uintptr_t>(letter - 'a' + 10);
    } else {
      return at != from;
    }
  }
}

// Reads "start-end …" lines, a buffer at a time, until one holds the address.
bool scan_mappings(int fd, uintptr_t address, Bounds& found) {
  char text[256];
  size_t kept = 0;
  bool line_start = true;
  for (;;) {
    const long size = kernel::read(fd, text + kept, sizeof text - 1 - kept);
    if (size <= 0) return false;
    const size_t filled = kept + static_cast<size_t>(size);
    text[filled] = '\0';
    const char* at = text;
    for (;;) {
      const char* end = at;
      while (*end != '\0' && *end != '\n') ++end;
      const char* parsed = at;
      if (line_start && parse_hexadecimal(parsed, found.bottom) && *parsed++ == '-' &&
          parse_hexadecimal(parsed, found.top) && *parsed == ' ' && found.holds(address)) {
        return true;
      }
      if (*end == '\0') {
        // An address pair may be cut by the buffer's end; the rest of a long line may not be taken for one.
        const auto rest = static_cast<size_t>(end - at);
        const bool cut = line_start && rest < 40;
        kept = cut ? rest : 0;
        line_start = cut;
        if (cut) memcpy(text, at, rest);
        break;
      }
      at = end + 1;
      line_start = true;
    }
  }
}

bool find_mapping(uintptr_t address, Bounds& found) {
  if (process.silent) return false;
  const int fd = kernel::open_at(AT_FDCWD, "/proc/self/maps", O_RDONLY);
  if (fd < 0) return false;
  MappingQuery query{};
  query.size = sizeof query;
  query.address = address;
  bool good = kernel::call(__NR_ioctl, fd, static_cast<long>(kQueryMapping), kernel::as_long(&query)) == 0;
  if (good) {
    found = {query.start, query.end};
  } else {
    good = scan_mappings(fd, address, found);
  }
  kernel::close(fd);
  return good;
}

uintptr_t control_block() { return reinterpret_cast<uintptr_t>(__builtin_thread_pointer()); }

// The main thread's stack grows, so its mapping's start is not its end. It may grow as far as the limit says; but with
// a large one or none others may lie there, so that no more than some way below what is mapped counts as stack. Where
// it has grown beyond that, the kernel is asked once more.
uintptr_t bottom_of_main(uintptr_t top, uintptr_t mapped) {
  constexpr uintptr_t kMostAhead = 8 * 1024 * 1024;
  rlimit limit{};
  kernel::call(__NR_prlimit64, 0, RLIMIT_STACK, 0, kernel::as_long(&limit));
  const uintptr_t near = mapped - kMostAhead;
  if (limit.rlim_cur == 0 || limit.rlim_cur > top) return near;
  const uintptr_t lowest = top - limit.rlim_cur;
  return lowest > near ? lowest : near;
}

// Above main's frames the kernel left, among others, 16 random bytes.
uintptr_t above_main() { return getauxval(AT_RANDOM) & ~uintptr_t{15}; }

bool recognise(const Bounds& mapping, Bounds& stack) {
  if (mapping.holds(control_block())) {
    stack = {mapping.bottom, control_block() & ~uintptr_t{15}};
    return true;
  }
  if (!mapping.holds(above_main())) return false;
  stack = {bottom_of_main(above_main(), mapping.bottom), above_main()};
  return true;
}

}  // namespace

bool look_for_own_stack(uintptr_t here) {
  if (foreign.holds(here)) return false;
  Bounds mapping{};
  if (!find_mapping(here, mapping)) return false;
  Bounds stack{};
  if (!recognise(mapping, stack) || !stack.holds(here)) {
    foreign = mapping;
    return false;
  }
  known_stack = stack;
  return true;
}

}  // namespace heapster::preload
