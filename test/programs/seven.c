// SPDX-License-Identifier: MIT
//
// A program that is linked in ways in which a preload sees nothing of it: static, or with a sanitizer's runtime. It
// exits with 7, and with `wait` only after a line on its standard input. `run PROGRAM ARGUMENT…` exits as that does.
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char** words) {
  int status = 0;
  const pid_t pid = fork();
  if (pid == 0) {
    execv(words[0], words);
    _exit(127);
  }
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int main(int argc, char** argv) {
  if (argc > 2 && strcmp(argv[1], "run") == 0) return run(argv + 2);
  void* volatile block = malloc(100);
  free(block);
  char byte = 0;
  if (argc > 1 && write(1, "ready\n", 6) != 6) return 3;
  while (argc > 1 && byte != '\n' && read(0, &byte, 1) == 1) {
  }
  return 7;
}
