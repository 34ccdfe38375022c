// SPDX-License-Identifier: MIT
//
// Which loaded object an address lies in. dladdr would tell as well, but it walks all of libc's
// symbols for a name that nobody wants here, and start-up would take twice as long.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/attributes.h"

namespace heapster::preload {

// This object's first byte and the one after its last, by the linker.
extern "C" HEAPSTER_LOCAL const char __ehdr_start[], _end[];

// Whether a function is of this library; as a program's symbols say, it may be another one of the same name.
inline bool is_ours(const void* function) {
  return reinterpret_cast<uintptr_t>(function) - reinterpret_cast<uintptr_t>(__ehdr_start) <
         static_cast<size_t>(_end - __ehdr_start);
}

struct Object {
  const void* base;  // null: in none
  const char* path;  // empty: the executable
};

Object object_of(const void* address);

// A function that an object exports; null where it does not. dlsym would allocate a message in that case, and so begin
// the program's first allocation before the program does.
const void* function_of(const Object& object, const char* name);

// What the loader would bind a program's calls to: the first object that exports a function with a version of libc's or
// libstdc++'s, or with none. dlsym passes over versions that are not the default ones, and libc_malloc_debug has no
// others.
struct Sought {
  const char* name;
  const void* found = nullptr;  // where it lies; null where no object exports it, and for an IFUNC
};
// Searches all objects, or those behind the one that an address lies in.
void find_bound(Sought* first, size_t count, const void* behind);

// Whether the program runs under a tool of valgrind's that redirects malloc, where no symbol shows it.
bool valgrind_takes_malloc();

// Whether any object but this one asks for a C++ library: only then is there anybody to call operator
// new. (An allocator may ask for one for its own operator's sake.)
bool speaks_cplusplus(const void* but);

}  // namespace heapster::preload
