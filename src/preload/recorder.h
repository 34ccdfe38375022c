// SPDX-License-Identifier: MIT
//
// The hot path: what a malloc, a free and a realloc cost beyond the next allocator's own work.
// A handful of adds to this thread's shard, two predicted branches that lead to cold code.
//
// The fast way is open while the thread has a shard, the process is the one that claimed it (the
// gate: a fork wipes it), and glibc's chunk headers tell usable sizes. Everything else, and every
// rare event, goes the slow way (recorder_slow.cpp), which counts the same numbers.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"
#include "preload/attributes.h"
#include "preload/next.h"
#include "preload/realloc_class.h"
#include "preload/writers.h"
#include "unwind/capture.h"

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
  uint32_t several;  // more than one shard was ever in use
};
HEAPSTER_LOCAL extern Gate gate;

// 24 bytes of static TLS: initial-exec access is one instruction, and never allocates.
struct ThreadState {
  Shard* shard;       // null before the first call, after the end, and while threads share
  uint32_t stage;     // ThreadStage
  uint32_t slot;      // which slot the shard is
  uint32_t baseline;  // while this thread forks: 1 + which of the process's baselines is its child's
  bool resolving;     // looks the next allocator's functions up
  bool counting;      // asks the next allocator for a usable size on behalf of an operator
};
HEAPSTER_LOCAL extern __thread ThreadState thread_state __attribute__((tls_model("initial-exec")));

// Ways out of the hot path: over an allocator whose usable sizes have to be asked for, and the cold ones.
void* alloc_asking(void* block, size_t size);
void* aligned_asking(void* block, size_t size);
void free_asking(void* block);
void freed_asking(void* block, uint64_t usable);  // counts only
void* realloc_asking(void* block, size_t size);
HEAPSTER_COLD void* alloc_slow(void* block, size_t size);
HEAPSTER_COLD void free_slow(void* block);
HEAPSTER_COLD void freed_slow(void* block, uint64_t usable);  // counts only; null counts as such
HEAPSTER_COLD void* realloc_slow(void* block, size_t size);
// Whose call it was that led here, and whether it made a block grow. publish.cpp
struct Caller {
  unwind::Registers registers;
  bool grown;
};
// A step of the shard, and the block that was just allocated or grown, or null.
HEAPSTER_COLD void step(Shard* shard, void* block, const Caller& caller);
HEAPSTER_COLD void* step_and_return(Shard* shard, void* block);
HEAPSTER_COLD void* step_and_return_grown(Shard* shard, void* block);
HEAPSTER_COLD void step_and_free(Shard* shard, void* block);

// The thread's shard, and the same where it may be written to without asking for usable sizes.
inline Shard* own_shard() {
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.any));
}
HEAPSTER_HOT Shard* fast_shard() {
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.fast));
}

HEAPSTER_HOT Shard* asking_shard() {
  return reinterpret_cast<Shard*>(reinterpret_cast<uintptr_t>(thread_state.shard) & glance(gate.asking));
}

template <typename Writer>
HEAPSTER_HOT void add_cell(Cell& cell, uint64_t bytes) {
  Writer::add(cell.count, uint64_t{1});
  Writer::add(cell.bytes, bytes);
}

// The counting functions return whether a step is due.
template <typename Writer>
HEAPSTER_HOT bool grow_live(Shard* shard, uint64_t by) {
  Writer::add(shard->net, static_cast<int64_t>(by));
  const int64_t net = load(shard->net);
  if (HEAPSTER_UNLIKELY(net > load(shard->ceiling))) {
    if (glance(gate.several) != 0) {
      Writer::take(shard->countdown, static_cast<int64_t>(by));
      return true;
    }
    Writer::raise(shard->ceiling, net);
  }
  return Writer::take(shard->countdown, static_cast<int64_t>(by));
}

template <typename Writer>
HEAPSTER_HOT bool shrink_live(Shard* shard, uint64_t by) {
  Writer::subtract(shard->net, static_cast<int64_t>(by));
  return load(shard->net) < load(shard->floor);
}

template <typename Writer>
HEAPSTER_HOT bool count_alloc(Shard* shard, const void* block, uint64_t size, uint64_t usable) {
  add_cell<Writer>(shard->sizes[Writer::bucket(size)].alloc, size);
  add_cell<Writer>(shard->sizes[Writer::bucket(usable)].usable, usable);
  store(shard->last, reinterpret_cast<uint64_t>(block));
  return grow_live<Writer>(shard, usable);
}

template <typename Writer>
HEAPSTER_HOT bool count_free(Shard* shard, const void* block, uint64_t usable) {
  add_cell<Writer>(shard->sizes[Writer::bucket(usable)].dealloc, usable);
  Writer::add(shard->counters.temporary_count, uint64_t{load(shard->last) == reinterpret_cast<uint64_t>(block)});
  return shrink_live<Writer>(shard, usable);
}

// A block went from one usable size to another.
template <typename Writer>
HEAPSTER_HOT void shift_live(Shard* shard, uint64_t was, uint64_t is) {
  Cell& from = shard->sizes[Writer::bucket(was)].live_shift;
  Writer::subtract(from.count, uint64_t{1});
  Writer::subtract(from.bytes, was);
  add_cell<Writer>(shard->sizes[Writer::bucket(is)].live_shift, is);
}

// Growth where the block lies is what most reallocations are; it goes straight through.
template <typename Writer>
HEAPSTER_HOT bool count_realloc(Shard* shard, const void* before, const void* after, uint64_t size, uint64_t was,
                                uint64_t is) {
  Writer::add(shard->counters.realloc_request_sum, size);
  if (HEAPSTER_UNLIKELY(before != after)) {
    count_move<Writer>(shard, was, is);
    if (load(shard->last) == reinterpret_cast<uint64_t>(before)) store(shard->last, reinterpret_cast<uint64_t>(after));
  }
  if (HEAPSTER_LIKELY(is > was)) {
    count_cell<Writer>(shard, &ReallocLine::realloc_growth, is - was);
    shift_live<Writer>(shard, was, is);
    return grow_live<Writer>(shard, is - was);
  }
  if (is < was) {
    count_cell<Writer>(shard, &ReallocLine::realloc_shrink, was - is);
    shift_live<Writer>(shard, was, is);
    return shrink_live<Writer>(shard, was - is);
  }
  Writer::add(shard->counters.realloc_same_count, uint64_t{1});
  return false;
}

// A block came from the next allocator, which was told more than its size if it is aligned; returns it.
template <bool aligned = false>
HEAPSTER_HOT void* record_alloc(void* block, size_t size) {
  Shard* shard = fast_shard();
  if (HEAPSTER_LIKELY(shard != nullptr && block != nullptr)) {
    const uint64_t field = chunk_size_field(block);
    if (HEAPSTER_LIKELY((field & kChunkMmapped) == 0)) {
      const bool due = count_alloc<Hot>(shard, block, size, usable_of_chunk(field));
      return HEAPSTER_LIKELY(!due) ? block : step_and_return(shard, block);
    }
  }
  return aligned ? aligned_asking(block, size) : alloc_asking(block, size);
}

// Counts a block, then frees it: afterwards its size cannot be known.
HEAPSTER_HOT void record_free(void* block) {
  Shard* shard = fast_shard();
  if (HEAPSTER_LIKELY(shard != nullptr && block != nullptr)) {
    const uint64_t field = chunk_size_field(block);
    if (HEAPSTER_LIKELY((field & kChunkMmapped) == 0)) {
      const bool due = count_free<Hot>(shard, block, usable_of_chunk(field));
      return HEAPSTER_LIKELY(!due) ? next.free(block) : step_and_free(shard, block);
    }
  }
  free_asking(block);
}

HEAPSTER_HOT void* record_realloc(void* block, size_t size) {
  Shard* shard = fast_shard();
  if (HEAPSTER_LIKELY(shard != nullptr && block != nullptr && size != 0)) {
    const uint64_t before = chunk_size_field(block);
    if (HEAPSTER_LIKELY((before & kChunkMmapped) == 0)) {
      void* now = next.realloc(block, size);
      if (HEAPSTER_UNLIKELY(now == nullptr)) {
        Hot::add(shard->counters.realloc_fail_count, uint64_t{1});
        return nullptr;
      }
      const uint64_t after = chunk_size_field(now);
      const uint64_t usable = HEAPSTER_LIKELY((after & kChunkMmapped) == 0) ? usable_of_chunk(after) : usable_size(now);
      const bool due = count_realloc<Hot>(shard, block, now, size, usable_of_chunk(before), usable);
      return HEAPSTER_LIKELY(!due) ? now : step_and_return_grown(shard, now);
    }
  }
  return realloc_asking(block, size);
}

}  // namespace heapster::preload
