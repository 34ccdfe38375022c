// SPDX-License-Identifier: MIT
//
// The slow way of counting, for whatever the hot path turned away: a thread's first call, a fork's
// child, failures, NULL, blocks that glibc mapped by themselves, blocks of the early arena, and
// whatever happens over an allocator that does not tell usable sizes. The same numbers, with
// plain adds on a shard of one's own and atomic ones on a shared shard. Over an allocator that has to be
// asked for them, what is usual goes a way of its own here, which writes like the hot path.

#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/count/recorder.h"
#include "preload/count/threads.h"
#include "preload/next/early_arena.h"
#include "preload/sampling/followed.h"
#include "preload/shard/own_shard.h"
#include "preload/shard/step.h"

namespace heapster::preload {

namespace {

Target target() {
  if (Shard* shard = own_shard()) return {shard, false};
  return find_target();
}

// Calls count.operator()<Writer>(shard) with the writer that the target needs.
template <typename Count>
void with_target(Count count) {
  const Target where = target();
  if (where.shard == nullptr) return;
  if (where.shared) {
    count.template operator()<Shared>(where.shard);
  } else {
    count.template operator()<Slow>(where.shard);
  }
}

void add_one(uint64_t Counters::*counter) {
  with_target([&]<typename Writer>(Shard* shard) { Writer::add(shard->counters.*counter, uint64_t{1}); });
}

// glibc's chunk headers are believed once they have said what malloc_usable_size says of some of the
// program's own blocks, so that no block has to be allocated for the proof.
void prove_headers(const void* block, uint64_t usable) {
  constexpr uint32_t kProof = 16;
  static constinit uint32_t agreed = 0;
  const uint64_t field = chunk_size_field(block);
  if ((field & kChunkMmapped) != 0) return;
  if (usable_of_chunk(field) != usable || (usable + kExactOverhead) % kExactStep != 0) {
    distrust_headers();
  } else if (__atomic_add_fetch(&agreed, 1u, __ATOMIC_RELAXED) >= kProof) {
    trust_headers();
  }
}

// glibc has the kernel move the pages of such a block to where there is room.
bool is_mapped_by_itself(const void* block) {
  return load(process.headers) != Headers::kNotTrusted && !early_arena.owns(block) &&
         (chunk_size_field(block) & kChunkMmapped) != 0;
}

// A block from before the next allocator was known moves over to it, contents and all.
void* realloc_from_arena(void* block, size_t size) {
  void* fresh = next.malloc(size);
  if (fresh != nullptr) EarlyArena::copy(fresh, block, size);
  return fresh;
}

// Who frees the block: only a sampled one goes by who stands in the table to follow it.
HEAPSTER_HOT auto* releaser_of(const void* block) {
  return HEAPSTER_LIKELY(!is_in_filter(block)) ? next.plain_free : next.free.found;
}

// Of a block that is not the early arena's, where the next allocator can be asked.
HEAPSTER_HOT size_t ask_usable_size(void* block) {
  const Asking asking;
  return next.usable_size(block);
}

}  // namespace

void* alloc_large(Shard* shard, void* block) {
  const bool due = count_usable<Hot>(shard, usable_by_header(block));
  return HEAPSTER_LIKELY(!due) ? block : step_and_return(shard, block);
}

void free_large(void* block, Shard* shard) {
  const bool due = count_dealloc<Hot>(shard, usable_by_header(block));
  if (HEAPSTER_UNLIKELY(due)) step(shard, nullptr, {unwind::registers_of_caller(), false});
  if (HEAPSTER_LIKELY(!early_arena.owns(block))) next.free(block);
}

void free_watched(void* block, Shard* shard) {
  if (HEAPSTER_UNLIKELY(!is_small(chunk_size_field(block)))) return free_large(block, shard);
  free_and_look(block, shard);
}

void free_and_look(void* block, Shard* shard) {
  const int64_t at = next_to_wait();
  count_small_dealloc(shard, at >= 0 ? at : kFirstOfRound, chunk_size(chunk_size_field(block)));
  if (HEAPSTER_UNLIKELY(is_below_floor(shard))) return step_and_free(block, shard);
  next.free(block);
}

void* alloc_asking(void* block, size_t size) {
  Shard* shard = asking_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr || block == nullptr)) return alloc_slow(block, size);
  const bool due = count_alloc<Hot>(shard, block, size, usable_size_of(block, size));
  return HEAPSTER_LIKELY(!due) ? block : step_and_return(shard, block);
}

void* aligned_asking(void* block, size_t size) {
  Shard* shard = asking_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr || block == nullptr)) return alloc_slow(block, size);
  const bool due = count_alloc<Hot>(shard, block, size, ask_usable_size(block));
  return HEAPSTER_LIKELY(!due) ? block : step_and_return(shard, block);
}

void free_asking(void* block) {
  Shard* shard = asking_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr || block == nullptr || early_arena.owns(block))) return free_slow(block);
  const bool due = count_free<Hot>(shard, block, ask_usable_size(block));
  return HEAPSTER_LIKELY(!due) ? releaser_of(block)(block) : step_and_free(block, shard);
}

void freed_asking(void* block, uint64_t usable) {
  Shard* shard = asking_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr || block == nullptr)) return freed_slow(block, usable);
  if (HEAPSTER_UNLIKELY(count_free<Hot>(shard, block, usable)))
    step(shard, nullptr, {unwind::registers_of_caller(), false});
}

void count_release(void* block) {
  forget_sample(block);
  freed_asking(block, block != nullptr && !thread_state.asking ? usable_size(block) : 0);
}

void* realloc_asking(void* block, size_t size) {
  Shard* shard = asking_shard();
  if (HEAPSTER_UNLIKELY(shard == nullptr || block == nullptr || size == 0 || early_arena.owns(block))) {
    return realloc_slow(block, size);
  }
  const size_t before = ask_usable_size(block);
  void* now = next.realloc(block, size);
  if (HEAPSTER_UNLIKELY(now == nullptr)) {
    Hot::add(shard->counters.realloc_fail_count, uint64_t{1});
    return nullptr;
  }
  Hot::add(shard->counters.realloc_request_sum, size);
  const bool due = count_realloc<Hot>(shard, block, now, before, ask_usable_size(now));
  return HEAPSTER_LIKELY(!due) ? now : step_and_return_grown(shard, now);
}

void* realloc_failed(Shard* shard) {
  Alone::add(shard->counters.realloc_fail_count, uint64_t{1});
  return nullptr;
}

void* realloc_mapped(Shard* shard, void* block, void* now, uint64_t before) {
  const bool due = count_realloc<Slow>(shard, block, now, usable_of_chunk(before), usable_size(now));
  return due ? step_and_return_grown(shard, now) : now;
}

void* alloc_slow(void* block, size_t size) {
  if (block == nullptr) {
    add_one(&Counters::alloc_fail_count);
    return nullptr;
  }
  if (HEAPSTER_UNLIKELY(thread_state.asking)) return block;
  const Caller caller = {unwind::registers_of_caller(), false};
  const size_t usable = usable_size(block);
  with_target([&]<typename Writer>(Shard* shard) {
    if (count_alloc<Writer>(shard, block, size, usable)) step(shard, block, caller);
  });
  if (load(process.headers) == Headers::kOnProbation) prove_headers(block, usable);
  return block;
}

void freed_slow(void* block, uint64_t usable) {
  if (block == nullptr) return add_one(&Counters::free_null_count);
  if (HEAPSTER_UNLIKELY(thread_state.asking)) return;
  const Caller caller = {unwind::registers_of_caller(), false};
  with_target([&]<typename Writer>(Shard* shard) {
    if (count_free<Writer>(shard, block, usable)) step(shard, nullptr, caller);
  });
}

void free_slow(void* block) {
  freed_slow(block, block != nullptr && !thread_state.asking ? usable_size(block) : 0);
  if (!early_arena.owns(block)) next.free(block);
}

void* realloc_slow(void* block, size_t size) {
  if (block == nullptr) return record_alloc(next.realloc(nullptr, size), size);
  if (HEAPSTER_UNLIKELY(thread_state.asking) && !early_arena.owns(block)) return next.realloc(block, size);
  const size_t before = usable_size(block);
  const bool mapped = is_mapped_by_itself(block);
  void* after = early_arena.owns(block) ? realloc_from_arena(block, size) : next.realloc(block, size);
  if (after != nullptr) {
    const Caller caller = {unwind::registers_of_caller(), true};
    const size_t usable = usable_size(after);
    with_target([&]<typename Writer>(Shard* shard) {
      Writer::add(shard->counters.realloc_request_sum, uint64_t{size});
      const bool due = count_realloc<Writer>(shard, block, after, before, usable);
      if (mapped && after != block && is_mapped_by_itself(after)) count_remap<Writer>(shard, before, usable);
      if (due) step(shard, after, caller);
    });
  } else if (size == 0) {
    freed_slow(block, before);
  } else {
    add_one(&Counters::realloc_fail_count);
  }
  return after;
}

void* step_and_return(Shard* shard, void* block) {
  step(shard, block, {unwind::registers_of_caller(), false});
  return block;
}

void* step_and_return_grown(Shard* shard, void* block) {
  step(shard, block, {unwind::registers_of_caller(), true});
  return block;
}

void step_and_free(void* block, Shard* shard) {
  step(shard, nullptr, {unwind::registers_of_caller(), false});
  next.free(block);
}

void aligned_failed(bool invalid) { add_one(invalid ? &Counters::alloc_invalid_count : &Counters::alloc_fail_count); }

void realloc_overflowed() { add_one(&Counters::realloc_fail_count); }

}  // namespace heapster::preload
