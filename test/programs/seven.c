// SPDX-License-Identifier: MIT
//
// A program that is linked in ways in which a preload sees nothing of it: static, or with a sanitizer's runtime. It
// exits with 7, and with an argument only after a line on its standard input.
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  (void)argv;
  void* volatile block = malloc(100);
  free(block);
  char byte = 0;
  if (argc > 1 && write(1, "ready\n", 6) != 6) return 3;
  while (argc > 1 && byte != '\n' && read(0, &byte, 1) == 1) {
  }
  return 7;
}
