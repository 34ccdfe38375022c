// SPDX-License-Identifier: MIT
//
// What a thread knows of itself, in static TLS: initial-exec access is one instruction, and never allocates.

#pragma once

#include <cstdint>

#include "preload/base/attributes.h"

namespace heapster {
struct Shard;
}

namespace heapster::preload {

enum ThreadStage : uint32_t {
  kFresh = 0,
  kClaiming,  // a signal handler's call, or pthread_setspecific's, must not claim again
  kOwning,
  kSharing,  // no shard was to be had
  kEnded,
};

// 32 bytes.
struct ThreadState {
  Shard* shard;       // null before the first call, after the end, and while threads share
  uint32_t stage;     // ThreadStage
  uint32_t slot;      // which slot the shard is
  uint32_t baseline;  // while this thread forks: 1 + which of the process's baselines is its child's
  bool resolving;     // looks the next allocator's functions up
  bool asking;        // asks the next allocator something: what comes back to us meanwhile passes through
  int64_t freed_at;   // where the last small block freed waits, in bytes from the shard's first such place
};
HEAPSTER_LOCAL extern __thread ThreadState thread_state __attribute__((tls_model("initial-exec")));

// Stands around each question to the next allocator, and around a call of it that is counted already. What it calls
// meanwhile may come back to us: to answer, tcmalloc allocates at the first question, and where the program has an
// operator new of its own, that calls our malloc. Asked about in turn, it would go on forever.
class Asking {
 public:
  Asking() { thread_state.asking = true; }
  ~Asking() { thread_state.asking = false; }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;
};

}  // namespace heapster::preload
