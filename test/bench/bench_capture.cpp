// SPDX-License-Identifier: MIT
//
// What it costs to take a stack of 16 frames whose rows are in the cache: walked anew, found to be the last one once
// more, and by libunwind's cached path, in turn on one core. Prints nanoseconds, one line per round: new again
// libunwind.
//
//   bench_capture ROUNDS

#define UNW_LOCAL_ONLY
#include <dlfcn.h>
#include <libunwind.h>
#include <pthread.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core_watch.h"
#include "unwind/capture.h"

namespace {

using heapster::unwind::Bounds;
using heapster::unwind::Capture;
using heapster::unwind::Place;

constexpr unsigned kFrames = 16;
constexpr int kCaptures = 1000;

heapster::unwind::RowCache cache;
heapster::unwind::Trail trail;

Place find_place(uintptr_t address) {
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(address), &object) != 0) return {};
  return {{static_cast<const uint8_t*>(object.dlfo_eh_frame), static_cast<const uint8_t*>(object.dlfo_map_start),
           static_cast<const uint8_t*>(object.dlfo_map_end)},
          1};
}

Bounds bounds_of_this_thread() {
  pthread_attr_t attributes;
  void* base = nullptr;
  size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &base, &size);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<uintptr_t>(base), reinterpret_cast<uintptr_t>(base) + size};
}

__attribute__((noinline)) Capture capture(const Bounds& bounds) {
  return heapster::unwind::capture(cache, find_place, bounds, heapster::unwind::registers_of_caller(), trail);
}

template <class Take>
double nanoseconds_each(Take take) {
  const auto begin = bench::Clock::now();
  for (int i = 0; i < kCaptures; ++i) take();
  return std::chrono::duration<double, std::nano>(bench::Clock::now() - begin).count() / kCaptures;
}

int measure(int rounds, const Bounds& bounds) {
  bench::CoreWatch watch;
  watch.settle(std::chrono::seconds(2));
  void* frames[kFrames + 1];
  for (int round = -1; round < rounds; ++round) {
    const double fresh = nanoseconds_each([&] {
      trail.depth = 0;
      capture(bounds);
    });
    const double again = nanoseconds_each([&] { capture(bounds); });
    const double libunwind = nanoseconds_each([&] { unw_backtrace(frames, kFrames + 1); });
    if (round >= 0) std::printf("%.1f %.1f %.1f\n", fresh, again, libunwind);  // the first one filled the caches
  }
  return 0;
}

// Calls itself until its stack has so many frames.
__attribute__((noinline)) int descend(int rounds, const Bounds& bounds) {
  trail.depth = 0;
  const unsigned depth = capture(bounds).depth;
  const int status = depth == kFrames ? measure(rounds, bounds) : depth > kFrames ? 1 : descend(rounds, bounds);
  asm volatile("");  // and is no tail call
  return status;
}

}  // namespace

int main(int argument_count, char** arguments) {
  return argument_count == 2 ? descend(std::atoi(arguments[1]), bounds_of_this_thread()) : 2;
}
