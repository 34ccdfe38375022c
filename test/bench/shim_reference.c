/* SPDX-License-Identifier: MIT
 *
 * The reference shim: the same kind of figures kept the obvious way, as relaxed atomic adds on counters that all
 * threads share. It keeps the set of the Rust crate `heapster`: per allocation count, sum, live, highest live and one
 * histogram bucket; per free count, sum, live; per realloc count and sum of its class, live, and the moves.
 *
 * C tells no size to free, so the size of a block is its usable size, on both sides: live returns to zero. A class of
 * counters that is written together lies on a cache line of its own, as a careful author would place it: what is
 * compared is the design, not an accident of layout. */

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shim_next.h"

typedef struct {
  alignas(64) atomic_uint_fast64_t count;
  atomic_uint_fast64_t sum;
} Tally;

static Tally allocations, deallocations, growths, shrinks, moves;
static struct {
  alignas(64) atomic_int_fast64_t now;
  atomic_int_fast64_t highest;
} live;
static alignas(64) atomic_uint_fast64_t histogram[65];

static void tally(Tally* of, uint64_t size) {
  atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&of->sum, size, memory_order_relaxed);
}

/* Rust's fetch_max, as it is compiled for x86-64: the exchange is tried even where the maximum stays what it is. */
static void raise_live(uint64_t by) {
  int_fast64_t now = atomic_fetch_add_explicit(&live.now, (int64_t)by, memory_order_relaxed) + (int64_t)by;
  int_fast64_t highest = atomic_load_explicit(&live.highest, memory_order_relaxed);
  int_fast64_t raised;
  do {
    raised = now > highest ? now : highest;
  } while (!atomic_compare_exchange_weak_explicit(&live.highest, &highest, raised, memory_order_relaxed,
                                                  memory_order_relaxed));
}

static void lower_live(uint64_t by) { atomic_fetch_sub_explicit(&live.now, (int64_t)by, memory_order_relaxed); }

static void* count_allocation(void* block) {
  if (block == NULL) return NULL;
  uint64_t size = next_malloc_usable_size(block);
  tally(&allocations, size);
  raise_live(size);
  int bucket = size == 0 ? 0 : 64 - __builtin_clzll(size);
  atomic_fetch_add_explicit(&histogram[bucket], 1, memory_order_relaxed);
  return block;
}

static void count_deallocation(uint64_t size) {
  tally(&deallocations, size);
  lower_live(size);
}

static void count_reallocation(uint64_t before, uint64_t after, int moved) {
  if (after > before) {
    tally(&growths, after - before);
    raise_live(after - before);
  } else {
    tally(&shrinks, before - after);
    lower_live(before - after);
  }
  if (moved) tally(&moves, before < after ? before : after);
}

EXPORT void* malloc(size_t size) { return count_allocation(next_malloc(size)); }
EXPORT void* calloc(size_t count, size_t size) { return count_allocation(next_calloc(count, size)); }
EXPORT void* memalign(size_t alignment, size_t size) { return count_allocation(next_memalign(alignment, size)); }
EXPORT void* valloc(size_t size) { return count_allocation(next_valloc(size)); }
EXPORT void* pvalloc(size_t size) { return count_allocation(next_pvalloc(size)); }

EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  return count_allocation(next_aligned_alloc(alignment, size));
}

EXPORT int posix_memalign(void** block, size_t alignment, size_t size) {
  int error = next_posix_memalign(block, alignment, size);
  if (error == 0) count_allocation(*block);
  return error;
}

EXPORT void* realloc(void* block, size_t size) {
  if (block == NULL) return count_allocation(next_realloc(NULL, size));
  uint64_t before = next_malloc_usable_size(block);
  uintptr_t old_address = (uintptr_t)block;
  void* grown = next_realloc(block, size);
  if (grown != NULL) {
    count_reallocation(before, next_malloc_usable_size(grown), (uintptr_t)grown != old_address);
  } else if (size == 0) {
    count_deallocation(before);
  }
  return grown;
}

EXPORT void free(void* block) {
  if (block == NULL) return;
  count_deallocation(next_malloc_usable_size(block));
  next_free(block);
}
