// SPDX-License-Identifier: MIT
//
// Where the calling thread's stack is. libc would tell, but takes a lock and allocates for it. The kernel knows
// which mapping the stack pointer lies in, and that mapping is the thread's own stack if the thread's control block
// lies at its end, or, for the main thread, what the kernel put above main. Anything else, a fibre's, a handler's
// or a goroutine's stack, is left alone.

#pragma once

#include <cstdint>

#include "preload/base/attributes.h"
#include "unwind/capture.h"

namespace heapster::preload {

enum class StackKind : uint8_t { kOwn, kUnknown, kSmall };

inline constexpr uintptr_t kLeastStack = 8 * 1024;  // what has to be left; a capture takes less than 2 KiB

HEAPSTER_LOCAL extern __thread unwind::Bounds known_stack __attribute__((tls_model("initial-exec")));

// Asks the kernel; known_stack becomes the stack that `here` is on, if that is the thread's own.
bool look_for_own_stack(uintptr_t here);

// Asks the kernel at a thread's first call, and when the stack pointer has left what is known.
inline StackKind find_own_stack(unwind::Bounds& bounds) {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (HEAPSTER_UNLIKELY(!known_stack.holds(here)) && !look_for_own_stack(here)) return StackKind::kUnknown;
  bounds = known_stack;
  return here - bounds.bottom < kLeastStack ? StackKind::kSmall : StackKind::kOwn;
}

}  // namespace heapster::preload
