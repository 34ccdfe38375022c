/* SPDX-License-Identifier: MIT
 *
 * What the two comparison shims share: one pointer per allocation function, leading to the allocator behind us.
 *
 * Each pointer starts at a small function that looks up all the real ones and then forwards, so the shim itself needs
 * neither a branch nor a flag per call: it is what an interposer costs at the very least. dlsym of a symbol that
 * exists does not allocate in glibc 2.34 and later; the shims rely on that, being for measurements only. */

#ifndef HEAPSTER_SHIM_NEXT_H
#define HEAPSTER_SHIM_NEXT_H

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

/* ret, name, parameters, arguments */
#define ALLOCATION_FUNCTIONS(X)                                                                   \
  X(void*, malloc, (size_t size), (size))                                                         \
  X(void*, calloc, (size_t count, size_t size), (count, size))                                    \
  X(void*, realloc, (void* block, size_t size), (block, size))                                    \
  X(void*, memalign, (size_t alignment, size_t size), (alignment, size))                          \
  X(void*, aligned_alloc, (size_t alignment, size_t size), (alignment, size))                     \
  X(int, posix_memalign, (void** block, size_t alignment, size_t size), (block, alignment, size)) \
  X(void*, valloc, (size_t size), (size))                                                         \
  X(void*, pvalloc, (size_t size), (size))                                                        \
  X(size_t, malloc_usable_size, (void* block), (block))

static void resolve_next(void);
static void first_free(void* block);
static void (*next_free)(void* block) = first_free;

#define DEFINE_NEXT(ret, name, parameters, arguments) \
  static ret first_##name parameters;                 \
  static ret(*next_##name) parameters = first_##name; \
  static ret first_##name parameters {                \
    resolve_next();                                   \
    return next_##name arguments;                     \
  }
ALLOCATION_FUNCTIONS(DEFINE_NEXT)
#undef DEFINE_NEXT

static void first_free(void* block) {
  resolve_next();
  next_free(block);
}

/* Safe to run twice at once: both runs store the same pointers. */
static __attribute__((constructor)) void resolve_next(void) {
#define RESOLVE(ret, name, parameters, arguments) next_##name = (ret(*) parameters)dlsym(RTLD_NEXT, #name);
  ALLOCATION_FUNCTIONS(RESOLVE)
#undef RESOLVE
  next_free = (void (*)(void*))dlsym(RTLD_NEXT, "free");
}

#endif
