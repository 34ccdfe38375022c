// SPDX-License-Identifier: MIT
//
// A program that runs on an old glibc as well as on this one: it makes so many allocations of 100 bytes as its argument
// says, half of them freed, and again as many in a thread if it is linked with threads; exits with 7.
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

typedef int (*Main)(int, char**, char**);
int __libc_start_main(Main body, int count, char** arguments, void (*begin)(void), void (*end)(void),
                      void (*loader)(void), void* stack);
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.2.5");

static void allocate(int times) {
  for (int i = 0; i < times; ++i) {
    void* volatile block = malloc(100);
    if (i % 2 != 0) free(block);
  }
}

#if defined(THREADS)
int pthread_create(unsigned long* thread, const void* attributes, void* (*body)(void*), void* argument);
int pthread_join(unsigned long thread, void** result);
__asm__(".symver pthread_create, pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join, pthread_join@GLIBC_2.2.5");

static void* allocate_in_thread(void* times) {
  allocate(*(int*)times);
  return NULL;
}
#endif

static int run(int count, char** arguments, char** environment) {
  (void)environment;
  int times = count > 1 ? atoi(arguments[1]) : 0;
  allocate(times);
#if defined(THREADS)
  for (int i = 0; i < 3; ++i) {
    unsigned long thread;
    pthread_create(&thread, NULL, allocate_in_thread, &times);
    pthread_join(thread, NULL);
  }
#endif
  return write(1, "done\n", 5) == 5 ? 7 : 1;
}

static void nothing(void) {}

__attribute__((used)) static void begin(long* stack) {
  __libc_start_main(run, (int)stack[0], (char**)(stack + 1), nothing, nothing, NULL, stack);
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call begin\n  hlt\n");
