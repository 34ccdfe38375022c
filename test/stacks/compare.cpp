// SPDX-License-Identifier: MIT
//
// A preload of the tests: takes every so many mallocs' stacks twice, by src/unwind and by libunwind, compares them
// frame by frame, and appends what it found to the file named by COMPARE_OUT when the program ends:
//   stacks STACKS frames FRAMES different STACKS shorter STACKS longer STACKS again STACKS
// One that agrees as far as it goes and then stops where libunwind goes on is "shorter"; "different" is a wrong frame;
// "again" are those that were found to be the last one once more. The innermost 64 frames are compared.

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <fcntl.h>
#include <libunwind.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "unwind/capture.h"

namespace {

using heapster::unwind::Bounds;
using heapster::unwind::Capture;
using heapster::unwind::Place;
using heapster::unwind::Trail;

heapster::unwind::RowCache cache;
std::atomic<uint64_t> calls{0}, stacks{0}, again{0}, frames{0}, different{0}, shorter{0}, longer{0};
thread_local bool busy __attribute__((tls_model("initial-exec"))) = false;
int every = 1;

Place find_place(uintptr_t address) {
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return {};
  return {{static_cast<const uint8_t*>(object.dlfo_eh_frame), static_cast<const uint8_t*>(object.dlfo_map_start),
           static_cast<const uint8_t*>(object.dlfo_map_end)},
          1};
}

Bounds own_bounds() {
  static thread_local Bounds bounds{0, 0};
  if (bounds.top != 0) return bounds;
  pthread_attr_t attributes;
  void* base = nullptr;
  size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &base, &size);
  pthread_attr_destroy(&attributes);
  bounds = {reinterpret_cast<uintptr_t>(base), reinterpret_cast<uintptr_t>(base) + size};
  return bounds;
}

// Names the frames from `first` on, for a look at what went wrong.
void explain(const Capture& ours, void* const* theirs, unsigned found, unsigned first) {
  if (std::getenv("COMPARE_VERBOSE") == nullptr) return;
  for (unsigned i = first; i < ours.depth || i < found; ++i) {
    Dl_info info{};
    void* at = i < found ? theirs[i] : nullptr;
    dladdr(at, &info);
    std::fprintf(stderr, "%u %lx %p %s+%lx %s\n", i, i < ours.depth ? heapster::unwind::address_of(ours.frames[i]) : 0,
                 at, info.dli_fname, reinterpret_cast<uintptr_t>(at) - reinterpret_cast<uintptr_t>(info.dli_fbase),
                 info.dli_sname);
  }
}

__attribute__((noinline)) void compare() {
  static thread_local Trail trail __attribute__((tls_model("initial-exec"))) = {};
  void* theirs[1 + Trail::kMost];  // from this function on
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const Bounds bounds = own_bounds();
  if (here < bounds.bottom || here >= bounds.top) return;  // on another stack than the thread's
  const Capture ours =
      heapster::unwind::capture(cache, find_place, bounds, heapster::unwind::registers_of_caller(), trail);
  const unsigned found = static_cast<unsigned>(unw_backtrace(theirs, 1 + Trail::kMost)) - 1;
  ++stacks;
  again += ours.again;
  unsigned i = 0;
  for (; i < ours.depth && i < found; ++i) {
    if (heapster::unwind::address_of(ours.frames[i]) != reinterpret_cast<uint64_t>(theirs[1 + i])) {
      if (different++ == 0) explain(ours, theirs + 1, found, 0);
      return;
    }
  }
  frames += i;
  if (ours.depth < found && shorter++ == 0) explain(ours, theirs + 1, found, ours.depth - 1);
  if (ours.depth > found) ++longer;
}

__attribute__((constructor)) void start() {
  if (const char* text = std::getenv("COMPARE_EVERY")) every = std::atoi(text);
}

__attribute__((destructor)) void finish() {
  const char* path = std::getenv("COMPARE_OUT");
  const int fd = path == nullptr ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  char line[256];
  const int size =
      std::snprintf(line, sizeof line, "stacks %lu frames %lu different %lu shorter %lu longer %lu again %lu\n",
                    stacks.load(), frames.load(), different.load(), shorter.load(), longer.load(), again.load());
  if (write(fd, line, static_cast<size_t>(size)) != size) std::abort();
  close(fd);
}

}  // namespace

extern "C" void* malloc(size_t size) {
  static void* (*real)(size_t) = nullptr;
  if (real == nullptr) real = reinterpret_cast<void* (*)(size_t)>(dlsym(RTLD_NEXT, "malloc"));
  void* block = real(size);
  if (busy || calls++ % static_cast<unsigned>(every) != 0) return block;
  busy = true;
  const int saved = errno;
  compare();
  errno = saved;
  busy = false;
  return block;
}
