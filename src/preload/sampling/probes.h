// SPDX-License-Identifier: MIT
//
// OpenTelemetry's probes of allocations, by which a profiler outside learns of the sampled blocks: one nop each, and a
// note in the file that tells where it is and where its arguments lie. Weight is the bytes that a block stands for.
//
// The arguments lie where a function's first three do. OpenTelemetry's own profiler takes them from there, and does not
// read the note.

#pragma once

#define STAP_SDT_ARG_CONSTRAINT r
#include <sys/sdt.h>

#include <cstdint>

namespace heapster::preload {

#if defined(__x86_64__)
#define HEAPSTER_ARGUMENT_1 asm("rdi")
#define HEAPSTER_ARGUMENT_2 asm("rsi")
#define HEAPSTER_ARGUMENT_3 asm("rdx")
#else
#define HEAPSTER_ARGUMENT_1 asm("x0")
#define HEAPSTER_ARGUMENT_2 asm("x1")
#define HEAPSTER_ARGUMENT_3 asm("x2")
#endif

inline void tell_alloc(const void* block, uint64_t bytes, uint64_t weight) {
  register const void* first HEAPSTER_ARGUMENT_1 = block;
  register uint64_t second HEAPSTER_ARGUMENT_2 = bytes;
  register uint64_t third HEAPSTER_ARGUMENT_3 = weight;
  DTRACE_PROBE3(otel_memory, alloc, first, second, third);
}

// Before the block is freed: whoever gets its address next comes later.
inline void tell_free(const void* block) {
  register const void* first HEAPSTER_ARGUMENT_1 = block;
  DTRACE_PROBE1(otel_memory, free, first);
}

#undef HEAPSTER_ARGUMENT_1
#undef HEAPSTER_ARGUMENT_2
#undef HEAPSTER_ARGUMENT_3

}  // namespace heapster::preload
