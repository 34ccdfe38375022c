/* SPDX-License-Identifier: MIT
 *
 * A small single-threaded program whose memory is looked at: allocates and frees a little of many sizes, says how much
 * memory is resident, and stays until its standard input ends, so that its segment can be measured meanwhile.
 *
 * Resident memory is read from smaps_rollup, which walks the page tables; VmRSS of /proc/self/status is kept in
 * per-processor batches and may be off by more than what is to be measured. It is read with plain system calls, as
 * stdio's buffers would be heap of our own. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void use_some_heap(void) {
  void* blocks[1000];
  for (size_t i = 0; i < 1000; ++i) {
    blocks[i] = malloc(8 + i % 512);
    if (blocks[i] != NULL) memset(blocks[i], 1, 8);
  }
  for (size_t i = 0; i < 1000; ++i) blocks[i] = realloc(blocks[i], 16 + i % 700);
  for (size_t i = 0; i < 1000; ++i) free(blocks[i]);
}

static long resident_kib(void) {
  char text[4096];
  int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (length < 0) return -1;
  close(fd);
  text[length] = '\0';
  const char* line = strstr(text, "\nRss:");
  return line == NULL ? -1 : strtol(line + 5, NULL, 10);
}

int main(void) {
  use_some_heap();
  long resident = resident_kib();
  char line[64];
  int length = snprintf(line, sizeof line, "rss_kib %ld\n", resident);
  if (resident < 0 || write(STDOUT_FILENO, line, (size_t)length) != length) return 1;
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
