// SPDX-License-Identifier: MIT
//
// A program that takes its blocks by a function of its allocator's own, as servers do with jemalloc, and frees them as
// usual.

#include <stdlib.h>

void* mallocx(size_t size, int flags);

int main(void) {
  for (int i = 0; i < 1000; ++i) free(mallocx(3000, 0));
  return 0;
}
