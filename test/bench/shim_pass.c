/* SPDX-License-Identifier: MIT
 *
 * The pass-through shim: stands in front of the allocator, calls it through a pointer, counts nothing. What it costs
 * over bare is the price of interposing at all, which no counting interposer can go below. */

#include "shim_next.h"

#define FORWARD(ret, name, parameters, arguments) \
  EXPORT ret name parameters { return next_##name arguments; }
ALLOCATION_FUNCTIONS(FORWARD)

EXPORT void free(void* block) { next_free(block); }
