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

// Whether the program runs under a tool of valgrind's that redirects malloc, where no symbol shows it.
bool valgrind_takes_malloc();

}  // namespace heapster::preload
