// SPDX-License-Identifier: MIT
//
// The part of a segment that is there only where stacks were asked for: sampled stacks, the blocks among the
// samples that are live, and the objects that the addresses lie in. It follows the slots in the file.
//
//     +----------+---------+--------+--------+---------+
//     | sampling | modules | stacks | frames | samples |
//     +----------+---------+--------+--------+---------+
//
// Each table only grows, so that a reader may look at any moment; an entry is valid once its last word is. A table
// that is full drops what comes, and `sampling` counts what it dropped.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"

namespace heapster {

inline constexpr uint32_t kMaxModules = 1024;
inline constexpr uint32_t kMaxStacks = 32768;
inline constexpr uint32_t kMaxDepth = 64;
inline constexpr uint32_t kMaxFrames = kMaxStacks * kMaxDepth;
inline constexpr uint32_t kMaxSamples = 1024 * 1024;
inline constexpr uint32_t kLifetimes = 16;    // shorter than 4^k microseconds, for k = 0…14; then the rest
inline constexpr uint32_t kLatencies = 40;    // of [2^k, 2^(k+1)) nanoseconds
inline constexpr uint64_t kWholeBlock = 256;  // estimated counts are kept in 256ths

// One page of figures about the sampling itself.
struct Sampling {
#define HEAPSTER_SAMPLING_FIGURE(name, ...) uint64_t name;
#include "layout/sampling.def"
  uint64_t malloc_nanoseconds[kLatencies];  // how long some calls of the next allocator took
  uint64_t free_nanoseconds[kLatencies];
  uint64_t malloc_slowest;  // nanoseconds
  uint64_t free_slowest;
};
static_assert(sizeof(Sampling) <= 4096);

// An object that stacks lead through. Its number is its place in the table, from 1; 0 is code of no known object.
struct Module {
  uint64_t start;  // addresses that it was mapped at
  uint64_t end;
  uint64_t bias;  // to subtract from an address for that in the file
  uint32_t build_id_bytes;
  uint8_t build_id[20];
  char path[204];  // the last of it, where it is longer
  uint32_t ready;  // written last
};
static_assert(sizeof(Module) == 256);

// Frames are return addresses, innermost first, with the module's number in the upper 16 bits.
inline constexpr unsigned kFrameAddressBits = 48;

enum : uint16_t {
  kStackTruncated = 1,  // the outermost function was not reached
};

inline constexpr uint32_t kAnyWriter = 0;

// What one thread, or all of them, did with one stack: entries with the same frames, flags and scope are to be added
// up. A thread that frees a block which another one allocated counts it in an entry of its own, which may be below
// zero.
struct Stack {
  uint64_t hash;
  uint32_t first_frame;
  uint16_t flags;
  uint16_t depth;  // written last
#define HEAPSTER_STACK_FIGURE(name, ...) uint64_t name;
#include "layout/stacks.def"
  uint32_t lifetimes[kLifetimes];  // of samples that were freed; where those are many, some stand for others
  uint32_t scope;                  // that the thread was in; 0: none
  uint32_t writer;                 // 1 + slot of the only thread that writes to this entry; kAnyWriter: all do
#define HEAPSTER_STACK_LATE_FIGURE(name, ...) uint64_t name;
#include "layout/stacks.def"
#define HEAPSTER_STACK_SPREAD(name, ...) double name;
#include "layout/stacks.def"
};
static_assert(sizeof(Stack) == 256);
inline constexpr size_t kFirstStackBytes = 192;  // of the first version: late figures are 0, and no spreads are there
static_assert(offsetof(Stack, alloc_count_variance) == kFirstStackBytes);

// A sampled block that is live; free entries have a null pointer.
struct Sample {
  uint64_t pointer;
  uint64_t bytes;         // usable
  uint64_t weight_bytes;  // that it stands for
  uint64_t weight_count;  // in 256ths
  uint64_t time;          // when it was allocated, nanoseconds since the process started
  uint32_t stack;         // place in the table of stacks; kNoStack: none was taken
  uint32_t slot;          // of the thread that allocated it
  uint32_t generation;
  uint32_t next_free;
  uint64_t mark;  // for the writer's use: which of its bytes it is sampled for
};
static_assert(sizeof(Sample) == 64);
inline constexpr uint32_t kNoStack = UINT32_MAX;

inline constexpr size_t kSamplingOffset = kSlotsOffset + size_t{kMaxSlots} * sizeof(Slot);
inline constexpr size_t kModulesOffset = kSamplingOffset + 4096;
inline constexpr size_t kStacksOffset = kModulesOffset + kMaxModules * sizeof(Module);
inline constexpr size_t kFramesOffset = kStacksOffset + kMaxStacks * sizeof(Stack);
inline constexpr size_t kSamplesOffset = kFramesOffset + kMaxFrames * sizeof(uint64_t);
inline constexpr size_t kStacksEnd = kSamplesOffset + size_t{kMaxSamples} * sizeof(Sample);
static_assert(kSamplingOffset % 4096 == 0 && kStacksOffset % 4096 == 0 && kFramesOffset % 4096 == 0);

}  // namespace heapster
