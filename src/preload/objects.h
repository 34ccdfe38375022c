// SPDX-License-Identifier: MIT
//
// Which loaded object an address lies in. dladdr would tell as well, but it walks all of libc's
// symbols for a name that nobody wants here, and start-up would take twice as long.

#pragma once

namespace heapster::preload {

struct Object {
  const void* base;  // null: in none
  const char* path;  // empty: the executable
};

Object object_of(const void* address);

// A function that an object exports, by its GNU hash table; null where it does not. dlsym would allocate a message in
// that case, and so begin the program's first allocation before the program does.
const void* function_of(const Object& object, const char* name);

// Whether the program runs under a tool of valgrind's that redirects malloc, where no symbol shows it.
bool valgrind_takes_malloc();

// Whether any object but this one asks for a C++ library: only then is there anybody to call operator
// new. (An allocator may ask for one for its own operator's sake.)
bool speaks_cplusplus(const void* but);

// A program linked to a fixed address that takes a library function's address has a stub of its own for it, and
// that is what dlsym then answers. It defines nothing, and leads to where the program's calls lead. Walks the
// symbols of that program only, and is asked only where the answer was not ours.
bool is_stub(const void* function);

}  // namespace heapster::preload
