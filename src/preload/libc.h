// SPDX-License-Identifier: MIT
//
// The functions of libc that the preload calls, declared here instead of by libc's own headers.
// Those mark dlsym and others `leaf`, a promise that they never call back into this file; gcc
// then keeps our statics in registers across them. For an interposer the promise is false:
// dlsym may call malloc. What is neither here nor sigaction nor dl_iterate_phdr is a raw system
// call (kernel.h).

#pragma once

#include <cstddef>

// NOLINTBEGIN(readability-redundant-declaration): where <dlfcn.h> is needed for its structs, it was first.
extern "C" {
void* dlsym(void* handle, const char* name);
void* dlvsym(void* handle, const char* name, const char* version);
char* dlerror();
void* dlopen(const char* path, int mode);
int dlclose(void* handle);
unsigned long getauxval(unsigned long type);
const char* gnu_get_libc_version();

int __cxa_atexit(void (*function)(void*), void* argument, void* object);
int __cxa_at_quick_exit(void (*function)(void*), void* object);
int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* object);
int pthread_key_create(unsigned* key, void (*destructor)(void*));
int pthread_key_delete(unsigned key);
int pthread_setspecific(unsigned key, const void* value);

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
