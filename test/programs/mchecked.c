// SPDX-License-Identifier: MIT
//
// A program that asks glibc's debugging library for checks, which has to be before its first malloc, and then writes
// one byte too many.

#include <mcheck.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void tell(enum mcheck_status status) {
  printf("found %d\n", status);
  fflush(stdout);
  _exit(7);
}

int main(void) {
  const int started = mcheck(tell);
  char* volatile block = malloc(24);
  for (int i = 0; i < 100; ++i) {
    void* volatile other = malloc(3000);
    other = realloc(other, 100);
    free(other);
  }
  printf("started %d, whole %d\n", started, mprobe(block));
  block[24] = 1;
  free(block);
  return 0;
}
