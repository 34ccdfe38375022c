// SPDX-License-Identifier: MIT
//
// What every call looks at before it counts, on one cache line.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/attributes.h"

namespace heapster::preload {

// One page that the kernel wipes in a fork's child (MADV_WIPEONFORK), however the child
// was made: a zero mask turns the thread's shard pointer, which the child inherited and which
// leads into its parent's segment, into null. `any` is open while this process counts at all,
// `fast` while chunk headers may be read, too, `asking` while they may not and the next allocator tells usable sizes.
#if defined(__aarch64__)
inline constexpr size_t kGateBytes = 65536;  // the largest page
#else
inline constexpr size_t kGateBytes = 4096;
#endif
struct alignas(kGateBytes) Gate {
  uintptr_t fast;
  uintptr_t any;
  uintptr_t asking;
  uint64_t filter_mask;  // of the filter that knows sampled blocks (sample_filter.h)
  uint32_t several;      // more than one shard was ever in use
};
HEAPSTER_LOCAL extern Gate gate;

// As far as the headers are trusted. In a child, however it was made, the kernel has closed it.
void open_gate();
void close_gate();

// The end of the headers' probation, either way; the first word counts, whichever thread it is from. Trust opens the
// hot path.
void trust_headers();
void distrust_headers();

}  // namespace heapster::preload
