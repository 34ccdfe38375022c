/* SPDX-License-Identifier: MIT
 *
 * The file shim: makes a file in HEAPSTER_RUN_DIR, maps it, writes to as many of its pages as heapster's first thread
 * does, and removes it at the end; it looks at no allocation. What it costs a start is what a measurement costs that
 * can be read from outside from the first moment on and outlives its process. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { file_size = 192 << 10, page_size = 4096, pages_written = 6 };

static char path[256];

__attribute__((constructor)) static void make_file(void) {
  const char* directory = getenv("HEAPSTER_RUN_DIR");
  snprintf(path, sizeof path, "%s/floor-%d", directory != NULL ? directory : "/dev/shm", (int)getpid());
  int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) _exit(1);
  char* pages = MAP_FAILED;
  if (ftruncate(file, file_size) == 0) pages = mmap(NULL, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (pages == MAP_FAILED) _exit(1);
  for (int page = 0; page < pages_written; ++page) pages[page * page_size] = 1;
}

__attribute__((destructor)) static void remove_file(void) { unlink(path); }
