// SPDX-License-Identifier: MIT
//
// The life of the measured process: start, fork, end. Everything that happens once per process
// is decided here.

#pragma once

#include <cstdint>

#include "layout/segment.h"
#include "preload/segment_memory.h"
#include "preload/threads.h"
#include "preload/words.h"

namespace heapster::preload {

enum class Stage : uint32_t {
  kEarly,     // before our constructor: counted without a segment
  kCounting,  // a segment is there
  kOff,       // nothing is counted: calls pass through
};

enum class Headers : uint32_t {
  kNotTrusted,   // another allocator than glibc's, or they did not say what malloc_usable_size said
  kOnProbation,  // the next allocator is glibc's
  kTrusted,      // they agreed for some of the program's own blocks
};

struct Process {
  Stage stage;
  Headers headers;
  bool silent;       // after seccomp: no system call any more
  bool no_counter;   // the program forbade reading the processor's counter (PR_SET_TSC)
  uint32_t pid;      // whose segment it is; another pid asks: a fork's or vfork's child
  uint32_t uid;      // effective, when counting began
  uint64_t started;  // fine clock
};
extern constinit Process process;

// Where a thread that has no shard at hand is to count; sets up a fork's child at its first call.
Target find_target();

// The program's end, however it came: writes the snapshot and removes the segment's file. Does
// nothing the second time, or in a process that is not the segment's. Async-signal-safe.
void finish();

// Around whatever makes a child that has this memory as its own. Async-signal-safe.
void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

// The end of the headers' probation, either way; the first word counts, whichever thread it is from. Trust opens the
// hot path.
void trust_headers();
void distrust_headers();

// The program is about to restrict its system calls: prepares what needs one, and makes none from now
// on. There is no snapshot at the end then; the segment stays and says it all.
void fall_silent();

// Failures that the hooks see.
void aligned_failed(bool invalid);
void realloc_overflowed();

// Whether this library stands in front of operator new, too: libheapster-new.so does.
HEAPSTER_LOCAL extern const bool counts_operators;

// What programs are handed (interface.cpp); null for a version or a set of figures that is not ours.
const heapster_interface_v1* find_interface(unsigned version, size_t stats_bytes);
// In a fork's child: nothing was reset.
void forget_baseline();

// From now on what an allocator's own operator new would serve comes from malloc, which may refuse it; where that
// library stands in front of operator new, and libstdc++ is there to ask.
void route_operators_through_malloc();

// Whether the program's end has begun.
bool ending();

// Our own malloc's address, whichever malloc the program may see.
const void* own_malloc();

// Positions in the header's directory.
inline constexpr uint32_t kTextsSection = 0;
inline constexpr uint32_t kSchemaSection = 1;
inline constexpr uint32_t kLiveAtPeakSection = 2;
inline constexpr uint32_t kLiveAtForkSection = 3;
inline constexpr uint32_t kTimelineSection = 4;
inline constexpr uint32_t kSlotsSection = 5;
inline constexpr uint32_t kArenasSection = 6;
inline constexpr uint32_t kSectionCount = 7;
// Further ones where stacks were asked for.
inline constexpr uint32_t kSamplingSection = 7;
inline constexpr uint32_t kModulesSection = 8;
inline constexpr uint32_t kStacksSection = 9;
inline constexpr uint32_t kFramesSection = 10;
inline constexpr uint32_t kSamplesSection = 11;
inline constexpr uint32_t kSectionCountWithStacks = 12;

inline Section& slots_section() { return segment.header()->sections[kSlotsSection]; }

// Every shard that anybody ever owned, which is mapped.
template <typename Visit>
void each_shard(Visit visit) {
  const auto used = static_cast<uint32_t>(load(slots_section().used));
  for (uint32_t i = 0; i < used; ++i) {
    if (Slot* slot = segment.slot(i)) visit(slot->now);
  }
}

inline uint64_t since_start(uint64_t time) { return time > process.started ? time - process.started : 0; }

}  // namespace heapster::preload
