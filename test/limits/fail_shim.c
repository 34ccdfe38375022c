// SPDX-License-Identifier: MIT
//
// Every SHIM_EVERY-th attempt fails, as under HEAPSTER_FAIL=every:N, in the plainest way: what a program does then,
// it does by itself.
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void* __libc_valloc(size_t size);
void* __libc_pvalloc(size_t size);

static unsigned long every;
static unsigned long attempts;

__attribute__((constructor)) static void start(void) {
  const char* number = getenv("SHIM_EVERY");
  every = number != NULL ? strtoul(number, NULL, 10) : 0;
}

static int fails(void) {
  if (every == 0 || __atomic_add_fetch(&attempts, 1, __ATOMIC_RELAXED) % every != 0) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return __libc_calloc(count, size);
  return fails() ? NULL : __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) {
  return (block == NULL || size != 0) && fails() ? NULL : __libc_realloc(block, size);
}
void* memalign(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
void* valloc(size_t size) { return fails() ? NULL : __libc_valloc(size); }
void* pvalloc(size_t size) { return fails() ? NULL : __libc_pvalloc(size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  const int before = errno;
  void* fresh = fails() ? NULL : __libc_memalign(alignment, size);
  errno = before;
  if (fresh != NULL) *block = fresh;
  return fresh != NULL ? 0 : ENOMEM;
}
