// SPDX-License-Identifier: MIT
//
// What heapster must never be: a preload that changes what the program sees, rarely, in the way
// that the variable FAULT names. The fuzzer has to find each of them, or it finds nothing.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { kEvery = 5003 };

static const char* fault = "";
static atomic_uint calls;

static void (*next_free)(void*);
static void* (*next_calloc)(size_t, size_t);
static void* (*next_realloc)(void*, size_t);
static int (*next_posix_memalign)(void**, size_t, size_t);
static size_t (*next_usable_size)(void*);

__attribute__((constructor)) static void start(void) {
  next_free = (void (*)(void*))dlsym(RTLD_NEXT, "free");
  next_calloc = (void* (*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
  next_realloc = (void* (*)(void*, size_t))dlsym(RTLD_NEXT, "realloc");
  next_posix_memalign = (int (*)(void**, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
  next_usable_size = (size_t(*)(void*))dlsym(RTLD_NEXT, "malloc_usable_size");
  if (getenv("FAULT") != NULL) fault = getenv("FAULT");
}

// Now and then, where this fault is asked for.
static int due(const char* name) {
  return strcmp(fault, name) == 0 && atomic_fetch_add(&calls, 1) % kEvery == kEvery - 1;
}

void free(void* block) {
  if (next_free != NULL) next_free(block);
  if (due("errno")) errno = EAGAIN;
}

void* calloc(size_t count, size_t size) {
  if (next_calloc == NULL) start();
  char* block = next_calloc(count, size);
  if (block != NULL && count * size != 0 && due("zero")) block[count * size - 1] = 1;
  return block;
}

void* realloc(void* block, size_t size) {
  if (next_realloc == NULL) start();
  char* now = next_realloc(block, size);
  if (now != NULL && size != 0 && due("contents")) now[0] ^= 1;
  return now;
}

int posix_memalign(void** block, size_t alignment, size_t size) {
  if (next_posix_memalign == NULL) start();
  const int result = next_posix_memalign(block, alignment, size);
  if (result != 0 && strcmp(fault, "pointer") == 0) *block = NULL;
  return result;
}

size_t malloc_usable_size(void* block) {
  if (next_usable_size == NULL) start();
  return next_usable_size(block) - (block != NULL && due("usable") ? 8 : 0);
}
