// SPDX-License-Identifier: MIT
//
// A program linked to a fixed address that takes the addresses of malloc and free, as Debian's python3 does. Its own
// symbol table then has an address for both, though it defines neither.

#include <cstdlib>

static void* (*volatile allocate)(std::size_t) = malloc;
static void (*volatile release)(void*) = free;

int main() {
  for (int i = 0; i < 100; ++i) release(allocate(100));
}
