// SPDX-License-Identifier: MIT
//
// A library whose IFUNC resolver uses the heap. The loader relocates a program's libraries before its
// preloads, so the resolver's malloc is the preload's at a time when that is not relocated itself.

#include <stdlib.h>
#include <string.h>

static char* resolved_with;
char* resolvers_block(void) { return resolved_with; }  // which main frees

static int seven(void) { return 7; }
static int eight(void) { return 8; }

static int (*resolve(void))(void) {
  char* block = malloc(10);
  if (block == NULL) return eight;
  for (int i = 0; i < 10; ++i) block[i] = 'x';
  block = realloc(block, 5000);
  char* zeroed = calloc(10, 10);
  void* aligned = NULL;
  const int bad = posix_memalign(&aligned, 256, 100);
  int fine = block != NULL && block[9] == 'x' && zeroed != NULL && zeroed[99] == 0;
  fine = fine && bad == 0 && ((size_t)aligned & 255) == 0;
  free(aligned);
  free(zeroed);
  free(NULL);
  resolved_with = block;
  return fine ? seven : eight;
}

// Local, so that it is resolved when the library is relocated, and not at the first call.
static int resolved(void) __attribute__((ifunc("resolve")));
int number(void) { return resolved(); }
