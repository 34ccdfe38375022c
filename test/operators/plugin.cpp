// SPDX-License-Identifier: MIT
//
// A C++ plugin: the only thing in its process that has an operator new.

#include <new>

extern "C" int plugin_allocate(int count) {
  for (int i = 0; i < count; ++i) ::operator delete(::operator new(100), std::nothrow);
  return 0;
}
