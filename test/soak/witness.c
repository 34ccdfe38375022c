// SPDX-License-Identifier: MIT
//
// A second preload for the soak test: on a signal it writes down what glibc's malloc says of itself. It is sent only
// to a process that waits for input, so that it never interrupts malloc.

#define _GNU_SOURCE
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char directory[2048];

static void tell(int number) {
  (void)number;
  const struct mallinfo2 info = mallinfo2();
  char path[4096], part[4096], text[64];
  snprintf(path, sizeof path, "%s/%d", directory, (int)getpid());
  snprintf(part, sizeof part, "%s/%d.part", directory, (int)getpid());
  const int length = snprintf(text, sizeof text, "%zu\n", info.uordblks + info.hblkhd);
  const int file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const int complete = file >= 0 && write(file, text, (size_t)length) == length;
  if (file >= 0) close(file);
  if (complete) rename(part, path);
}

__attribute__((constructor)) static void start(void) {
  // Copied, because PostgreSQL writes its title over the environment.
  const char* chosen = getenv("SOAK_WITNESS");
  if (chosen == NULL) return;
  snprintf(directory, sizeof directory, "%s", chosen);
  struct sigaction action = {.sa_handler = tell, .sa_flags = SA_RESTART};
  sigaction(SIGRTMIN + 6, &action, NULL);
}
