// SPDX-License-Identifier: MIT
//
// A program with an allocator linked into it under a name of its own, as Rust programs have jemalloc
// (_rjem_malloc) or mimalloc: nobody can stand in front of that.

#include <stddef.h>

void* mi_malloc(size_t size);

static char arena[1 << 16];
static size_t used;

__attribute__((noinline)) void* mi_malloc(size_t size) {
  void* block = arena + used;
  used += (size + 15) / 16 * 16;
  return block;
}

int main(void) { return mi_malloc(100) == NULL; }
