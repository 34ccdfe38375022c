// SPDX-License-Identifier: MIT
//
// A preload that does what heapster must not, one thing at a time. The comparison of programs has to notice each.

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void handle(int number) { (void)number; }

__attribute__((constructor)) static void meddle(void) {
  const char* way = getenv("MEDDLE");
  if (way == NULL) return;
  if (strcmp(way, "descriptor") == 0) open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (strcmp(way, "ignored") == 0) signal(SIGPIPE, SIG_IGN);
  if (strcmp(way, "caught") == 0) signal(SIGHUP, handle);
  if (strcmp(way, "usr1") == 0) signal(SIGUSR1, handle);
  if (strcmp(way, "output") == 0 && write(2, "here\n", 5) != 5) _exit(1);
  if (strcmp(way, "status") == 0) _exit(99);
}
