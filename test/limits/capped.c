// SPDX-License-Identifier: MIT
//
// A C program that goes on when there is no memory, and keeps its own account of what it has: the sum of
// malloc_usable_size. It knows nothing of heapster. capped nothing | fill SIZE | family [FORMS] | reserve SIZE | child
// | in-handler | attempts N | sizes
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMost = 100000, kBlock = 60000 };

static void* blocks[kMost];
static size_t used;
static long long own;

static void tell(const char* name, long long value) {
  char line[160];
  const int size = snprintf(line, sizeof line, "%s %lld\n", name, value);
  if (write(1, line, (size_t)size) != size) _exit(3);
}

// Keeps a block; 0 where there was none.
static int keep(void* block) {
  if (block == NULL || used == kMost) return 0;
  own += (long long)malloc_usable_size(block);
  blocks[used++] = block;
  return 1;
}

static void drop_last(void) {
  own -= (long long)malloc_usable_size(blocks[--used]);
  free(blocks[used]);
}

static void fill(size_t size) {
  while (keep(malloc(size))) {
  }
}

static int fill_and_go_on(size_t size) {
  errno = 0;
  fill(size);
  tell("errno", errno);
  tell("own", own);
  for (int i = 0; i < 10; ++i) {
    drop_last();
    const int again = keep(malloc(size));
    const int more = keep(malloc(size));
    if (!again || more) return 1;
  }
  tell("own_again", own);
  return 0;
}

enum {
  kMalloc,
  kCalloc,
  kRealloc,
  kReallocNull,
  kReallocarray,
  kMemalign,
  kAlignedAlloc,
  kPosixMemalign,
  kValloc,
  kPvalloc,
  kForms
};

// Of each form one block of that size, or NULL with errno as it should be.
static void* take(int form, void* before, size_t size) {
  void* block = &used;
  errno = 77;
  switch (form) {
    case kMalloc:
      return malloc(size);
    case kCalloc:
      return calloc(size / 100, 100);
    case kRealloc:
      return realloc(before, size);
    case kReallocNull:
      return realloc(NULL, size);
    case kReallocarray:
      return reallocarray(before, size / 100, 100);
    case kMemalign:
      return memalign(256, size);
    case kAlignedAlloc:
      return aligned_alloc(256, size);
    case kValloc:
      return valloc(size);
    case kPvalloc:
      return pvalloc(size);
    case kPosixMemalign:
      break;
  }
  const int result = posix_memalign(&block, 256, size);
  if (result == 0) return block;
  // It tells by its result, and leaves alone what it was given.
  const int told = result == ENOMEM && errno == 77 && block == &used;
  errno = told ? ENOMEM : -1;
  return NULL;
}

static int is_filled(const unsigned char* block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (block[i] != 0xa5) return 0;
  }
  return 1;
}

static int refuse_each_form(int forms) {
  unsigned char* before = malloc(1000);
  memset(before, 0xa5, 1000);
  fill(kBlock);
  fill(5000);
  for (int form = 0; form < forms; ++form) {
    const void* block = take(form, before, kBlock);
    if (block != NULL || errno != ENOMEM || !is_filled(before, 1000)) return tell("refused_badly", form), 1;
  }
  for (int i = 0; i < 60; ++i) drop_last();
  for (int form = 0; form < forms; ++form) {
    const int grows = form == kRealloc || form == kReallocarray;
    unsigned char* block = take(form, before, kBlock);
    if (block == NULL || (grows && !is_filled(block, 1000))) return tell("refused_still", form), 1;
    if (grows) {
      before = realloc(block, 1000);
      if (before == NULL || !is_filled(before, 1000)) return tell("lost", form), 1;
    } else {
      free(block);
    }
  }
  return 0;
}

// After the first refusal small blocks are to be had, and larger ones are not.
static int use_reserve(size_t size) {
  fill(size);
  fill(4097);
  tell("own", own);
  tell("large", malloc(4097) != NULL);
  const long long before = own;
  fill(4096);
  fill(16);
  tell("reserve", own - before);
  printf("the end can be told\n");
  return fflush(stdout);
}

static int in_child(void) {
  for (int i = 0; i < 20; ++i) keep(malloc(kBlock));
  const long long parents = own;
  const pid_t child = fork();
  if (child == 0) {
    fill(kBlock);
    tell("own", own);
    tell("child", own - parents);
    exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  tell("parent_can", keep(malloc(kBlock)));
  return status;
}

static void on_signal(int number) {
  (void)number;
  fill(kBlock);
}

// The first refusal comes in a handler, on a small stack of its own.
static int in_handler(void) {
  static char stack[16384];
  const stack_t small = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&small, NULL);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sigaction(SIGUSR2, &action, NULL);
  errno = 0;
  raise(SIGUSR2);
  tell("errno", errno);
  tell("own", own);
  return 0;
}

static long attempts;

static void* tried(void* block) {
  ++attempts;
  if (block == NULL) printf("%ld%s\n", attempts, errno == ENOMEM ? "" : " without ENOMEM");
  errno = 0;
  return block;
}

// The numbers of the attempts that failed, of so many in a row, the first being 1.
static int attempt(long most) {
  static char buffer[1 << 20];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  errno = 0;
  while (attempts < most) {
    void* block = tried(attempts % 3 == 0 ? calloc(1, 100) : malloc(100));
    void* grown = block != NULL ? tried(realloc(block, 200)) : NULL;
    free(grown != NULL ? grown : block);
  }
  return fflush(stdout);
}

static int attempt_sizes(void) {
  const size_t limit = 1024 * 1024;
  void* small = malloc(limit);
  tell("malloc_at", small != NULL);
  tell("malloc_above", malloc(limit + 1) != NULL);
  tell("calloc_above", calloc(2, limit) != NULL);
  tell("realloc_above", realloc(small, limit + 1) != NULL);
  tell("small", keep(malloc(100)));
  return 0;
}

int main(int argument_count, char** arguments) {
  const char* mode = argument_count > 1 ? arguments[1] : "";
  const size_t number = argument_count > 2 ? strtoul(arguments[2], NULL, 10) : 0;
  if (strcmp(mode, "nothing") == 0) return 0;
  if (strcmp(mode, "fill") == 0) return fill_and_go_on(number);
  if (strcmp(mode, "family") == 0) return refuse_each_form(number != 0 ? (int)number : kForms);
  if (strcmp(mode, "reserve") == 0) return use_reserve(number);
  if (strcmp(mode, "child") == 0) return in_child();
  if (strcmp(mode, "in-handler") == 0) return in_handler();
  if (strcmp(mode, "attempts") == 0) return attempt((long)number);
  if (strcmp(mode, "sizes") == 0) return attempt_sizes();
  return 2;
}
