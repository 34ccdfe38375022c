// SPDX-License-Identifier: MIT
//
// The hot path: what a malloc, a free and a realloc cost beyond the next allocator's own work.
// A handful of adds to this thread's shard, two predicted branches that lead to cold code.
//
// The fast way is open while the thread has a shard, the process is the one that claimed it (the
// gate: a fork wipes it), and glibc's chunk headers tell usable sizes. Blocks larger than a page are one call away;
// everything else, and every rare event, goes the slow way (recorder_slow.cpp), which counts the same numbers.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/exact.h"
#include "layout/segment.h"
#include "preload/base/attributes.h"
#include "preload/base/thread_state.h"
#include "preload/count/look_ahead.h"
#include "preload/next/next.h"
#include "preload/sampling/sample_filter.h"
#include "preload/shard/own_shard.h"
#include "preload/shard/realloc_class.h"
#include "preload/shard/step.h"
#include "preload/shard/writers.h"

namespace heapster::preload {

// Failures that the hooks see.
void aligned_failed(bool invalid);
void realloc_overflowed();

// Ways out of the hot path: over an allocator whose usable sizes have to be asked for, for large blocks, and the cold
// ones.
void* alloc_asking(void* block, size_t size);
void* aligned_asking(void* block, size_t size);
void free_asking(void* block);
void freed_asking(void* block, uint64_t usable);  // counts only
void count_release(void* block);                  // before another function than free frees it
void* realloc_asking(void* block, size_t size);
void* alloc_large(Shard* shard, void* block);  // counts what is left to count
void free_large(void* block, Shard* shard);    // the same, and frees the block
HEAPSTER_COLD void* alloc_slow(void* block, size_t size);
HEAPSTER_COLD void free_slow(void* block);
HEAPSTER_COLD void freed_slow(void* block, uint64_t usable);  // counts only; null counts as such
HEAPSTER_COLD void* realloc_slow(void* block, size_t size);
HEAPSTER_COLD void* realloc_failed(Shard* shard);
// `now` was mapped by itself, `before` is what the header said.
HEAPSTER_COLD void* realloc_mapped(Shard* shard, void* block, void* now, uint64_t before);
// A step of the shard, and the block that was just allocated or grown, or null.
HEAPSTER_COLD void step(Shard* shard, void* block, const Caller& caller);  // publish.cpp
HEAPSTER_COLD void* step_and_return(Shard* shard, void* block);
HEAPSTER_COLD void* step_and_return_grown(Shard* shard, void* block);
// A free's ways out take the block first, as free itself does, so that it stays where it is.
HEAPSTER_COLD void step_and_free(void* block, Shard* shard);
void free_watched(void* block, Shard* shard);   // one that may be sampled
void free_and_look(void* block, Shard* shard);  // a small one; looks at the floor

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
  if (HEAPSTER_UNLIKELY(net > glance(shard->ceiling))) {
    if (net > glance(shard->look_at)) {
      Writer::take(shard->countdown, static_cast<int64_t>(by));
      return true;
    }
    Writer::raise(shard->ceiling, net);
  }
  return Writer::take(shard->countdown, static_cast<int64_t>(by));
}

HEAPSTER_HOT bool is_below_floor(const Shard* shard) { return load(shard->net) < glance(shard->floor); }

template <typename Writer>
HEAPSTER_HOT bool shrink_live(Shard* shard, uint64_t by) {
  Writer::subtract(shard->net, static_cast<int64_t>(by));
  return is_below_floor(shard);
}

template <typename Writer>
HEAPSTER_HOT void count_request(Shard* shard, const void* block, uint64_t size) {
  add_cell<Writer>(shard->sizes[Writer::bucket(size)].alloc, size);
  store(shard->last, reinterpret_cast<uint64_t>(block));
}

// A branch, not a comparison's result that is added each time: a store less in programs whose blocks live for a while,
// and where they do not, what leads here has the processor predict it.
template <typename Writer>
HEAPSTER_HOT void count_temporary(Shard* shard, const void* block) {
  if (HEAPSTER_LIKELY(glance(shard->last) == reinterpret_cast<uint64_t>(block))) {
    Writer::add(shard->counters.temporary_count, uint64_t{1});
  }
}

template <typename Writer>
HEAPSTER_HOT bool count_usable(Shard* shard, uint64_t usable) {
  add_cell<Writer>(shard->sizes[Writer::bucket(usable)].usable, usable);
  return grow_live<Writer>(shard, usable);
}

template <typename Writer>
HEAPSTER_HOT bool count_dealloc(Shard* shard, uint64_t usable) {
  add_cell<Writer>(shard->sizes[Writer::bucket(usable)].dealloc, usable);
  return shrink_live<Writer>(shard, usable);
}

template <typename Writer>
HEAPSTER_HOT bool count_alloc(Shard* shard, const void* block, uint64_t size, uint64_t usable) {
  count_request<Writer>(shard, block, size);
  return count_usable<Writer>(shard, usable);
}

template <typename Writer>
HEAPSTER_HOT bool count_free(Shard* shard, const void* block, uint64_t usable) {
  count_temporary<Writer>(shard, block);
  return count_dealloc<Writer>(shard, usable);
}

// The same of a small block, by its chunk's size: that is where its line lies (layout/exact.h). One bit test
// tells those, too, that glibc mapped by themselves and that are small because a realloc cut them.
inline constexpr uint64_t kNotSmall = ~(kExactLines * kExactStep - 1) | kChunkMmapped;
HEAPSTER_HOT bool is_small(uint64_t field) { return (field & kNotSmall) == 0; }
HEAPSTER_HOT uint64_t chunk_size(uint64_t field) { return field & ~(kExactStep - 1); }
HEAPSTER_HOT ExactLine& exact_line(Shard* shard, uint64_t chunk) {
  return *reinterpret_cast<ExactLine*>(reinterpret_cast<char*>(shard->exact) + chunk);
}

HEAPSTER_HOT bool count_small_usable(Shard* shard, uint64_t chunk) {
  Hot::add(exact_line(shard, chunk).usable, uint64_t{1});
  return grow_live<Hot>(shard, chunk - kExactOverhead);
}

// Where the next small block waits to be counted, from the ring's end to its beginning; below 0 a round is over. Only
// then its free looks at the floor, since a branch that waits for the header costs, too, and what was not published
// meanwhile is less than a bound more (docs/decisions/0021).
HEAPSTER_HOT int64_t next_to_wait() { return thread_state.freed_at - static_cast<int64_t>(sizeof Shard::waiting[0]); }
inline constexpr int64_t kFirstOfRound = sizeof Shard::waiting - sizeof Shard::waiting[0];

// Not in its own line: that waits, and the line of a block that was freed some time ago is written to. The header of
// this one may be long in coming, and what has to wait for it had better not be an address (docs/decisions/0020). Line
// 0 is nobody's.
// A signal's handler that frees as many blocks as wait, just here, may have one counted by another's size. The file can
// be written to by others, so that what is read from it does not lead out of the shard; the way round the ring is not
// in it.
HEAPSTER_HOT void count_small_dealloc(Shard* shard, int64_t at, uint64_t chunk) {
  thread_state.freed_at = at;
  uint64_t& place = *reinterpret_cast<uint64_t*>(reinterpret_cast<char*>(shard->waiting) + at);
  Hot::add(exact_line(shard, load(place) % sizeof shard->exact).dealloc, uint64_t{1});
  store(place, chunk);
  Hot::subtract(shard->net, static_cast<int64_t>(chunk - kExactOverhead));
}

// A block went from one usable size to another; 0 stands for none.
template <typename Writer>
HEAPSTER_HOT void shift_live(Shard* shard, uint64_t was, uint64_t is) {
  Cell& from = shard->sizes[Writer::bucket(was)].live_shift;
  Writer::subtract(from.count, uint64_t{1});
  Writer::subtract(from.bytes, was);
  if (HEAPSTER_LIKELY(is != 0)) add_cell<Writer>(shard->sizes[Writer::bucket(is)].live_shift, is);
}

// What has grown grows again, mostly. Its size waits in a word of its own until a block of another size grows, so that
// a chain of reallocations writes that word alone. An add, and no store: if a signal's handler comes in between, the
// sums stay right.
template <typename Writer>
HEAPSTER_HOT void shift_live_up(Shard* shard, uint64_t was, uint64_t is) {
  if constexpr (!Writer::kIsAlone) return shift_live<Writer>(shard, was, is);
  const uint64_t growing = load(shard->growing);
  if (HEAPSTER_LIKELY(growing == was)) return Writer::add(shard->growing, is - was);
  shift_live<Writer>(shard, was, growing);
  Writer::add(shard->growing, is - growing);
}

// Growth where the block lies is what most reallocations are; it goes straight through.
template <typename Writer>
HEAPSTER_HOT bool count_realloc(Shard* shard, const void* before, const void* after, uint64_t was, uint64_t is) {
  if (HEAPSTER_UNLIKELY(before != after)) {
    count_move<Writer>(shard, was, is);
    if (load(shard->last) == reinterpret_cast<uint64_t>(before)) store(shard->last, reinterpret_cast<uint64_t>(after));
  }
  if (HEAPSTER_LIKELY(is > was)) {
    count_cell<Writer>(shard, &ReallocLine::realloc_growth, is - was);
    shift_live_up<Writer>(shard, was, is);
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

// The block's header, once everything is done that can be done without it. Of a block that was not touched for long it
// comes from memory. Until then the processor runs on, as far as its window reaches; what stands behind this load
// takes the place of the program's own next instructions, and of the loads among them (docs/decisions/0018).
HEAPSTER_HOT uint64_t header_at_last(const void* block) {
  keep_order();
  return chunk_size_field(block);
}

// How the next allocator gave a block: aligned means that it was told more than the size.
enum class Given { kPlain, kCleared, kAligned };

// A block came from the next allocator; returns it.
template <Given given = Given::kPlain>
HEAPSTER_HOT void* record_alloc(void* block, size_t size) {
  Shard* shard = fast_shard();
  if (HEAPSTER_LIKELY(shard != nullptr && block != nullptr)) {
    count_request<Hot>(shard, block, size);
    const uint64_t field = header_at_last(block);
    if (HEAPSTER_UNLIKELY(!is_small(field))) return alloc_large(shard, block);
    if constexpr (given == Given::kPlain) fetch_header_of_next(block);
    const bool due = count_small_usable(shard, chunk_size(field));
    return HEAPSTER_LIKELY(!due) ? block : step_and_return(shard, block);
  }
  return given == Given::kAligned ? aligned_asking(block, size) : alloc_asking(block, size);
}

// Counts a block, then frees it: afterwards its size cannot be known.
HEAPSTER_HOT void record_free(void* block) {
  Shard* shard = fast_shard();
  if (HEAPSTER_LIKELY(shard != nullptr && block != nullptr)) {
    count_temporary<Hot>(shard, block);
    if (HEAPSTER_UNLIKELY(is_in_filter(block))) return free_watched(block, shard);
    const uint64_t field = header_at_last(block);
    if (HEAPSTER_UNLIKELY(!is_small(field))) return free_large(block, shard);
    const int64_t at = next_to_wait();
    if (HEAPSTER_UNLIKELY(at < 0)) return free_and_look(block, shard);
    count_small_dealloc(shard, at, chunk_size(field));
    return next.plain_free(block);
  }
  free_asking(block);
}

HEAPSTER_HOT void* record_realloc(void* block, size_t size) {
  Shard* shard = fast_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr)) return realloc_asking(block, size);
  if (HEAPSTER_UNLIKELY(block == nullptr || size == 0)) return realloc_slow(block, size);
  const uint64_t before = chunk_size_field(block);
  if (HEAPSTER_UNLIKELY((before & kChunkMmapped) != 0)) return realloc_slow(block, size);
  void* now = next.realloc.found(block, size);
  if (HEAPSTER_UNLIKELY(now == nullptr)) return realloc_failed(shard);
  Hot::add(shard->counters.realloc_request_sum, size);
  const uint64_t after = chunk_size_field(now);
  if (HEAPSTER_UNLIKELY((after & kChunkMmapped) != 0)) return realloc_mapped(shard, block, now, before);
  const bool due = count_realloc<Hot>(shard, block, now, usable_of_chunk(before), usable_of_chunk(after));
  return HEAPSTER_LIKELY(!due) ? now : step_and_return_grown(shard, now);
}

}  // namespace heapster::preload
