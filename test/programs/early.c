// SPDX-License-Identifier: MIT
//
// A library whose constructor runs before the preload's, and whose first malloc is inside atexit, which
// needs memory for its 33rd function.

#include <stdlib.h>

static void nothing(void) {}

__attribute__((constructor)) static void start(void) {
  for (int i = 0; i < 100; ++i) atexit(nothing);
}
