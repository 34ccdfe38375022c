// SPDX-License-Identifier: MIT
//
// A program with a malloc of its own, exported as rustc and others export theirs: a preload's is
// never called.

#include <cstddef>
#include <cstdlib>

extern "C" {
static char arena[1 << 20];
static size_t used;

void* malloc(size_t size) {
  void* block = arena + used;
  used += (size + 15) / 16 * 16;
  return block;
}
void free(void*) {}
void* calloc(size_t count, size_t size) { return malloc(count * size); }
void* realloc(void*, size_t size) { return malloc(size); }
}

// Nobody but libc, or a preload, defines reallocarray here; it has to use the realloc above.
int main() {
  void* block = reallocarray(malloc(100), 10, 20);
  free(block);
  return block == nullptr;
}
