// SPDX-License-Identifier: MIT
//
// What is known of the measured process at any time: its stage, whose it is, and what the program forbade.

#pragma once

#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/words.h"

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
  bool silent;           // after seccomp: no system call any more
  bool no_counter;       // the program forbade reading the processor's counter (PR_SET_TSC)
  uint32_t pid;          // whose segment it is; another pid asks: a fork's or vfork's child
  uint32_t uid;          // effective, when counting began
  uint64_t started;      // fine clock
  const void* finisher;  // the state of the thread that writes the last snapshot; null: the end has not begun
};
HEAPSTER_LOCAL extern constinit Process process;

// Fills in who this process is now.
void note_process();

inline bool ending() { return load(process.finisher) != nullptr; }

inline uint64_t since_start(uint64_t time) { return time > process.started ? time - process.started : 0; }

}  // namespace heapster::preload
