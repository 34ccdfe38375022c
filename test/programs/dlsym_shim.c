// SPDX-License-Identifier: MIT
//
// A preload whose dlsym allocates before it looks anything up, as old libcs' own did. It calls the real
// one, which therefore takes it for the caller: RTLD_NEXT means whoever comes after this library.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void* (*real)(void*, const char*);
static void* volatile spare[64];
static unsigned calls;

void* dlsym(void* restrict handle, const char* restrict name) {
  if (real == NULL) real = (void* (*)(void*, const char*))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
  char* block = calloc(10, 50);
  if (block == NULL || block[499] != 0) abort();
  block[0] = 'a';
  block = realloc(block, 2000);
  if (block == NULL || block[0] != 'a') abort();
  spare[calls++ % 64] = block;
  if (calls % 3 == 0) free(block);
  void* found = real(handle, name);
  calls += found == NULL;
  return found;
}
