// SPDX-License-Identifier: MIT
//
// OpenTelemetry's probes of allocations, by which a profiler outside learns of the sampled blocks: one nop each, and a
// note in the file that tells where it is and where its arguments lie. Weight is the bytes that a block stands for.

#pragma once

#include <sys/sdt.h>

#include <cstdint>

namespace heapster::preload {

inline void tell_alloc(const void* block, uint64_t bytes, uint64_t weight) {
  DTRACE_PROBE3(otel_memory, alloc, block, bytes, weight);
}

// Before the block is freed: whoever gets its address next comes later.
inline void tell_free(const void* block) { DTRACE_PROBE1(otel_memory, free, block); }

}  // namespace heapster::preload
