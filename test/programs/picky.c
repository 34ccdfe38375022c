// SPDX-License-Identifier: MIT
//
// An allocator upon libc's that looks at what it is told: it ends the program where free_sized or free_aligned_sized is
// given another size or alignment than the block can have. Like mimalloc it has a strdup and a strndup of its own,
// which do not call malloc, and like jemalloc functions that programs may call instead of malloc and free.

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* block, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void* block);

void* malloc(size_t size) { return __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void* realloc(void* block, size_t size) { return __libc_realloc(block, size); }
void free(void* block) { __libc_free(block); }
void* memalign(size_t alignment, size_t size) { return __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return __libc_memalign(alignment, size); }
void* valloc(size_t size) { return __libc_memalign(4096, size); }
void* pvalloc(size_t size) { return __libc_memalign(4096, (size + 4095) & ~(size_t)4095); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  void* fresh = __libc_memalign(alignment, size);
  if (fresh == NULL) return ENOMEM;
  *block = fresh;
  return 0;
}

size_t malloc_usable_size(void* block) {
  if (block == NULL) return 0;
  const size_t field = ((const size_t*)block)[-1];
  return (field & ~(size_t)7) - ((field & 2) != 0 ? 16 : 8);
}

void free_sized(void* block, size_t size) {
  if (size > malloc_usable_size(block)) abort();
  free(block);  // by way of whoever stands before us
}
void free_aligned_sized(void* block, size_t alignment, size_t size) {
  if ((uintptr_t)block % alignment != 0) abort();
  free_sized(block, size);
}

static char* copy(const char* text, size_t size) {
  char* block = __libc_malloc(size + 1);
  if (block == NULL) return NULL;
  memcpy(block, text, size);
  block[size] = '\0';
  return block;
}
char* strdup(const char* text) { return copy(text, strlen(text)); }
char* strndup(const char* text, size_t most) { return copy(text, strnlen(text, most)); }

void* mallocx(size_t size, int flags) { return flags == 0 ? __libc_malloc(size) : NULL; }
void sdallocx(void* block, size_t size, int flags) {
  (void)size, (void)flags;
  __libc_free(block);
}
