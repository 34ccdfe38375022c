// SPDX-License-Identifier: MIT
//
// Where the calling thread's stack is. libc would tell, but takes a lock and allocates for it. The kernel knows
// which mapping the stack pointer lies in, and that mapping is the thread's own stack if the thread's control block
// lies at its end, or, for the main thread, what the kernel put above main. Anything else, a fibre's, a handler's
// or a goroutine's stack, is left alone.

#pragma once

#include "unwind/capture.h"

namespace heapster::preload {

enum class StackKind : uint8_t { kOwn, kUnknown, kSmall };

// Asks the kernel at a thread's first call, and when the stack pointer has left what is known.
StackKind find_own_stack(unwind::Bounds& bounds);

}  // namespace heapster::preload
