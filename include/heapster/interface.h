/* SPDX-License-Identifier: MIT
 *
 * What libheapster.so hands to the program that it is loaded into: one table of functions, and the figures that they
 * fill in. heapster.h and heapster.hpp are the pleasant way to it; this alone is what the two sides agree on. */

#ifndef HEAPSTER_INTERFACE_H
#define HEAPSTER_INTERFACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEAPSTER_BUCKETS 65 /* size 0, then [2^k, 2^(k+1)) for k = 0…63 */

typedef struct heapster_cell {
  uint64_t count;
  uint64_t bytes;
} heapster_cell;

typedef struct heapster_histogram {
  heapster_cell bucket[HEAPSTER_BUCKETS];
} heapster_histogram;

/* The figures of `heapster show`, by the same names (docs/counters.md). */
typedef struct heapster_stats {
#define HEAPSTER_CELLS heapster_histogram
#include "stats.def"
} heapster_stats;

/* What is counted of a tracked arena (memory_resource.hpp). It lies in the segment, for reports. */
typedef struct heapster_arena {
  char name[40];
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) uint64_t name;
#include "arenas.def"
} heapster_arena;

/* By which an arena is known to its owner: begin with a name (of which 39 characters count) and 0. */
typedef struct heapster_arena_handle {
  const char* name;
  uint64_t id;
} heapster_arena_handle;

/* What happened to the blocks of one stack while a watch was on, as far as blocks are sampled (HEAPSTER_STACKS): bytes
 * are usable ones, alloc_bytes with those that blocks grew by. */
typedef struct heapster_site {
  uint64_t stack; /* its number: `heapster stacks PID --only NUMBER` names its functions */
  uint64_t alloc_count;
  uint64_t alloc_bytes;
  uint64_t growth_count;
  uint64_t freed_count;
  uint64_t freed_bytes;
} heapster_site;

#define HEAPSTER_SITES 512 /* that a watch has room for */

/* What libheapster.so hands out. Of another version, it hands out nothing. */
typedef struct heapster_interface_v1 {
  size_t stats_bytes; /* of a heapster_stats */
  /* The process, since its start or the last reset; or the calling thread, since its start. */
  void (*read)(heapster_stats* into);
  void (*read_thread)(heapster_stats* into);
  void (*reset)(void);
  /* begin_peak: from now on use_max is the peak since now; returns what end_peak needs to go back to before. */
  int64_t (*begin_peak)(void);
  int64_t (*end_peak)(int64_t before);
  uint64_t (*enter)(const char* name, size_t bytes);
  void (*leave)(uint64_t scope);
  int (*set_limit)(uint64_t bytes);
  uint64_t (*limit)(void);
  uint64_t (*remaining)(void);
  void (*arena_asked)(heapster_arena_handle* arena, int64_t bytes);
  void (*arena_upstream)(heapster_arena_handle* arena, int64_t bytes);
  void (*arena_reset)(heapster_arena_handle* arena, uint64_t blocks, uint64_t bytes);
  /* For languages that do not know the members: a figure that is no histogram, by its name. 0 where there is none. */
  int (*figure)(const heapster_stats* of, const char* name, double* value);
  /* A watch gathers by stack what the calling thread does, or, for everyone != 0, all threads do, until its sites are
   * asked for; `watched` returns how many there are, and fills in at most `room`. 0: no stacks are taken, or too many
   * watches are on. To be given back by `unwatch`. testing.hpp names by it who allocated. */
  uint64_t (*watch)(int everyone);
  size_t (*watched)(uint64_t watch, heapster_site* into, size_t room);
  void (*unwatch)(uint64_t watch);
} heapster_interface_v1;

#define HEAPSTER_INTERFACE_VERSION 1u

/* Both sides must know the same figures, hence their size; 0 from who only asks for figures by name. */
typedef const heapster_interface_v1* (*heapster_interface_finder)(unsigned version, size_t stats_bytes);

#ifdef __cplusplus
}
#endif

#endif
