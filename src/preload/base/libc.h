// SPDX-License-Identifier: MIT
//
// The functions of libc that the preload calls, declared here instead of by libc's own headers.
// Those mark dlsym and others `leaf`, a promise that they never call back into this file; gcc
// then keeps our statics in registers across them. For an interposer the promise is false:
// dlsym may call malloc. What is neither here nor dl_iterate_phdr is a raw system call (kernel.h).

#pragma once

#include <cstddef>

// Loading must never be what fails. So what another C library or an older one lacks is weak, and null there; and where
// glibc has a function in several versions, the oldest one is asked for. Whoever calls a weak one asks first, or comes
// after start(), which turns us off where the C library is not glibc.
#define HEAPSTER_WEAK __attribute__((weak))
#if defined(__SANITIZE_THREAD__)  // where the test's own dlsym stands in for libc's
#define HEAPSTER_OLDEST(name)
#elif defined(__x86_64__)
#define HEAPSTER_OLDEST(name) asm(".symver " #name ", " #name "@GLIBC_2.2.5");
#else
#define HEAPSTER_OLDEST(name) asm(".symver " #name ", " #name "@GLIBC_2.17");
#endif

// NOLINTBEGIN(readability-redundant-declaration): where <dlfcn.h> is needed for its structs, it was first.
extern "C" {
// In a library of their own before glibc 2.34.
HEAPSTER_WEAK void* dlsym(void* handle, const char* name);
HEAPSTER_WEAK void* dlvsym(void* handle, const char* name, const char* version);
HEAPSTER_WEAK char* dlerror();
HEAPSTER_WEAK void* dlopen(const char* path, int mode);
HEAPSTER_WEAK int pthread_key_create(unsigned* key, void (*destructor)(void*));
HEAPSTER_WEAK int pthread_key_delete(unsigned key);
HEAPSTER_WEAK int pthread_setspecific(unsigned key, const void* value);
HEAPSTER_OLDEST(dlsym)
HEAPSTER_OLDEST(dlvsym)
HEAPSTER_OLDEST(dlerror)
HEAPSTER_OLDEST(dlopen)
HEAPSTER_OLDEST(pthread_key_create)
HEAPSTER_OLDEST(pthread_key_delete)
HEAPSTER_OLDEST(pthread_setspecific)

// Of glibc alone.
HEAPSTER_WEAK const char* gnu_get_libc_version();
HEAPSTER_WEAK int __cxa_at_quick_exit(void (*function)(void*), void* object);
HEAPSTER_WEAK int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* object);

int dlclose(void* handle);
unsigned long getauxval(unsigned long type);
int __cxa_atexit(void (*function)(void*), void* argument, void* object);

void* memcpy(void* to, const void* from, size_t bytes);
void* memset(void* to, int byte, size_t bytes);
int memcmp(const void* a, const void* b, size_t bytes);
size_t strlen(const char* text);
int* __errno_location();
}
// NOLINTEND(readability-redundant-declaration)

namespace heapster::preload {

inline void* const kNext = reinterpret_cast<void*>(-1L);  // RTLD_NEXT
inline void* const kDefault = nullptr;                    // RTLD_DEFAULT

inline bool is_glibc() { return gnu_get_libc_version != nullptr; }

// Keeps errno as it was, for the stretches that call into libc.
class KeepErrno {
 public:
  KeepErrno() : saved_(*__errno_location()) {}
  ~KeepErrno() { *__errno_location() = saved_; }
  KeepErrno(const KeepErrno&) = delete;
  KeepErrno& operator=(const KeepErrno&) = delete;

 private:
  int saved_;
};

}  // namespace heapster::preload
