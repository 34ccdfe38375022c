// SPDX-License-Identifier: MIT
//
// An allocator as others may be built: it brings an operator new and delete, which do call malloc and
// free, by their names, and so come through whoever was preloaded before it.

#include <malloc.h>

#include <cstddef>
#include <new>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void __libc_free(void* block);

void* malloc(size_t size) { return __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return __libc_calloc(count, size); }
void* realloc(void* block, size_t size) { return __libc_realloc(block, size); }
void free(void* block) { __libc_free(block); }
size_t malloc_usable_size(void* block) {
  return block != nullptr ? (static_cast<size_t*>(block)[-1] & ~size_t{7}) - sizeof(size_t) : 0;
}
}

void* operator new(size_t size) {
  void* block = malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
void* operator new[](size_t size) { return operator new(size); }
void operator delete(void* block) noexcept { free(block); }
void operator delete[](void* block) noexcept { operator delete(block); }
