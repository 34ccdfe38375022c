// SPDX-License-Identifier: MIT
//
// A program with IFUNC resolvers that use the heap: a library's, and its own.

#include <stdlib.h>

char* resolvers_block(void);
int number(void);

static int zero(void) { return 0; }
static int one(void) { return 1; }
static int (*resolve_own(void))(void) {
  void* volatile block = malloc(100);
  block = realloc(block, 10000);
  free(block);
  return block != NULL ? zero : one;
}
static int own(void) __attribute__((ifunc("resolve_own")));

int main(void) {
  char* block = realloc(resolvers_block(), 6000);
  if (block == NULL || block[9] != 'x') return 9;
  free(block);
  for (int i = 0; i < 1000; ++i) {
    void* volatile block = malloc(3000);
    if (block == NULL) return 9;
  }
  return number() + own();
}
