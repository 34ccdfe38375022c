/* SPDX-License-Identifier: MIT
 *
 * heapster from inside, for C and for whatever speaks to C. Everything here works, and costs next to nothing, in a
 * program that does not run under heapster: it is then inactive, figures are 0, and calls do nothing.
 *
 *     heapster_stats before, after;
 *     heapster_read(&before);
 *     work();
 *     heapster_read(&after);
 *     heapster_subtract(&after, &before);
 *     printf("%lld allocations\n", (long long)after.alloc_count);
 *
 * All is found through one symbol, `heapster_interface`, which libheapster.so exports; nothing is linked. Languages
 * without C headers look that symbol up themselves (docs/api.md). No function here allocates, takes a lock, or changes
 * errno; all may be called by any thread at any time. Sizes are bytes, times seconds. */

#ifndef HEAPSTER_HEAPSTER_H
#define HEAPSTER_HEAPSTER_H

#include <dlfcn.h>
#include <string.h>

#include "interface.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The interface, or NULL where the program does not run under this version of heapster. Looked for once. */
static inline const heapster_interface_v1* heapster_find(void) {
  static const heapster_interface_v1* found = NULL;
  static int asked = 0;
  if (__builtin_expect(__atomic_load_n(&asked, __ATOMIC_ACQUIRE), 1)) return found;
  union {
    void* object;
    heapster_interface_finder function;
  } finder;
  finder.object = dlsym(NULL /* RTLD_DEFAULT */, "heapster_interface");
  if (finder.object == NULL) {
    (void)dlerror(); /* or the program's own next dlerror() would tell of us */
  } else {
    __atomic_store_n(&found, finder.function(HEAPSTER_INTERFACE_VERSION, sizeof(heapster_stats)), __ATOMIC_RELAXED);
  }
  __atomic_store_n(&asked, 1, __ATOMIC_RELEASE);
  return found;
}

/* Whether the program is being measured. */
static inline int heapster_active(void) { return heapster_find() != NULL; }

/* The process's figures since its start or the last reset: counts of all threads, each true, two of them perhaps some
 * microseconds apart while others allocate. */
static inline void heapster_read(heapster_stats* into) {
  const heapster_interface_v1* interface = heapster_find();
  memset(into, 0, sizeof *into);
  if (interface != NULL) interface->read(into);
}

/* The calling thread's own figures since its start: exact, free of what others do. A thread has no peak: use_max and
 * what belongs to it are 0, and its use_curr is below zero where it frees what others allocated. */
static inline void heapster_read_thread(heapster_stats* into) {
  const heapster_interface_v1* interface = heapster_find();
  memset(into, 0, sizeof *into);
  if (interface != NULL) interface->read_thread(into);
}

/* Makes the process's figures count from now on: flows begin at 0, what is live stays, the peak becomes what is live.
 * Only what heapster_read tells changes; reports from outside go on as before. */
static inline void heapster_reset(void) {
  const heapster_interface_v1* interface = heapster_find();
  if (interface != NULL) interface->reset();
}

/* later := what happened between two readings. Flows are subtracted; states (live, peak) stay those of the later one,
 * and use_change and live_change tell by how much they changed. */
static inline void heapster_subtract(heapster_stats* later, const heapster_stats* earlier) {
  later->use_change = later->use_curr - earlier->use_curr;
  later->live_change = later->live_count - earlier->live_count;
#define HEAPSTER_SUBTRACT_TABLE(name)                                                     \
  for (int i = 0; i < HEAPSTER_BUCKETS; ++i) {                                            \
    later->name##_histogram.bucket[i].count -= earlier->name##_histogram.bucket[i].count; \
    later->name##_histogram.bucket[i].bytes -= earlier->name##_histogram.bucket[i].bytes; \
  }                                                                                       \
  later->name##_count -= earlier->name##_count;                                           \
  later->name##_sum -= earlier->name##_sum;
#define HEAPSTER_SUBTRACT_hidden(name)
#define HEAPSTER_SUBTRACT_allocations(name) HEAPSTER_SUBTRACT_TABLE(name)
#define HEAPSTER_SUBTRACT_deallocations(name) HEAPSTER_SUBTRACT_TABLE(name)
#define HEAPSTER_SUBTRACT_reallocations(name) HEAPSTER_SUBTRACT_TABLE(name)
#define HEAPSTER_SUBTRACT_gauge(name)
#define HEAPSTER_SUBTRACT_flow(name) later->name -= earlier->name;
#define HEAPSTER_SIZES(name, section, by, what) HEAPSTER_SUBTRACT_##section(name)
#define HEAPSTER_REALLOCS(name, section, by, what) HEAPSTER_SUBTRACT_##section(name)
#define HEAPSTER_COUNTER(name, unit, section, help) HEAPSTER_SUBTRACT_flow(name)
#define HEAPSTER_FIGURE(name, unit, kind, section, value, help) HEAPSTER_SUBTRACT_##kind(name)
#include "counters.def"
#undef HEAPSTER_SUBTRACT_flow
#undef HEAPSTER_SUBTRACT_gauge
#undef HEAPSTER_SUBTRACT_reallocations
#undef HEAPSTER_SUBTRACT_deallocations
#undef HEAPSTER_SUBTRACT_allocations
#undef HEAPSTER_SUBTRACT_hidden
#undef HEAPSTER_SUBTRACT_TABLE
}

/* For a measurement of a peak: from begin on, use_max is the peak since then; end gives the peak of the stretch, and
 * use_max is again what it would have been without. Stretches of one thread may be nested. The peak is the process's:
 * stretches of several threads that overlap cut each other's short. */
static inline int64_t heapster_begin_peak(void) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->begin_peak() : 0;
}
static inline int64_t heapster_end_peak(int64_t before) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->end_peak(before) : 0;
}

/* Counts what this thread does from here on to heapster_leave(the result) apart, under a name, inside the scope that
 * it is in. At most 63 different paths of names, of up to 119 characters; beyond that the work counts to the scope
 * around it, and the report says so. */
static inline uint64_t heapster_enter(const char* name) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->enter(name, __builtin_strlen(name)) : 0;
}

/* Back to the scope that the thread was in before. To be called by the same thread; scopes in between are left, too. */
static inline void heapster_leave(uint64_t scope) {
  const heapster_interface_v1* interface = heapster_find();
  if (interface != NULL) interface->leave(scope);
}

/* Beyond this many live bytes, allocations fail with ENOMEM; 0: no limit. Returns 0, or -1 where more is in use
 * already, or where the program is not measured. */
static inline int heapster_set_limit(uint64_t bytes) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->set_limit(bytes) : -1;
}

/* The limit, 0: none; and what may still be allocated, UINT64_MAX: no limit. */
static inline uint64_t heapster_limit(void) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->limit() : 0;
}
static inline uint64_t heapster_remaining(void) {
  const heapster_interface_v1* interface = heapster_find();
  return interface != NULL ? interface->remaining() : UINT64_MAX;
}

/* What an arena tells of itself: bytes asked of it, and bytes that it took from upstream, one block each; below zero
 * they are given back. 0 is no block and counts nowhere: an empty block is to be told as one of 1 byte, both times, as
 * memory_resource.hpp does. Arenas of one name are one; at most 64 are shown. */
static inline void heapster_arena_asked(heapster_arena_handle* arena, int64_t bytes) {
  const heapster_interface_v1* interface = heapster_find();
  if (interface != NULL) interface->arena_asked(arena, bytes);
}
static inline void heapster_arena_upstream(heapster_arena_handle* arena, int64_t bytes) {
  const heapster_interface_v1* interface = heapster_find();
  if (interface != NULL) interface->arena_upstream(arena, bytes);
}
/* The arena was emptied at once: what is still there of what was asked of it is given back, so many blocks of so many
 * bytes. Other arenas of that name keep what they have. */
static inline void heapster_arena_reset(heapster_arena_handle* arena, uint64_t blocks, uint64_t bytes) {
  const heapster_interface_v1* interface = heapster_find();
  if (interface != NULL) interface->arena_reset(arena, blocks, bytes);
}

#ifdef __cplusplus
}
#endif

#endif
