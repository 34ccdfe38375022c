// SPDX-License-Identifier: MIT
//
// Blocks whose samples are hard to follow: grown, shrunk, refused, handed over, freed by a child, or all at one
// address.

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

// What follows a call, so that it returns here.
__attribute__((noinline)) void tell_nothing() { asm volatile(""); }

// Every kind of realloc, many times; a quarter of the blocks stays.
int reallocations(int, char**) {
  for (int i = 0; i < 4000; ++i) {
    void* block = keep(malloc(100));
    block = keep(realloc(block, 5000));
    if (realloc(block, SIZE_MAX) != nullptr) return 1;
    block = keep(realloc(block, 200));
    block = keep(realloc(block, 200'000));
    block = keep(realloc(block, 300));
    if (i % 4 == 1) free(block);
    if (i % 4 == 2) block = realloc(block, 0);
    if (i % 4 == 3) free(keep(realloc(block, 301)));
  }
  return 0;
}

// Two threads free and allocate the same sizes, so that one gets the addresses that the other just freed, also
// from under a realloc that moves.
int reuse(int, char**) {
  static std::atomic<void*> shared[64];
  const auto body = [](unsigned seed) {
    for (int i = 0; i < 100'000; ++i) {
      seed = seed * 1103515245 + 12345;
      void* fresh = malloc(500 + seed / 65536 % 3 * 1000);
      if (seed % 7 == 0) fresh = realloc(fresh, 4000);
      free(shared[seed / 1024 % 64].exchange(keep(fresh)));
    }
  };
  std::thread one(body, 1), two(body, 2);
  one.join(), two.join();
  return 0;
}

// Buffers that shrink and grow again, many times; and lists that grow while something is in them, are emptied, and are
// filled anew. Tells what lives of them at last.
int shrink_and_grow(int, char**) {
  constexpr int kBlocks = 2000, kRounds = 40;
  static void* blocks[2 * kBlocks];
  const auto resize = [](int from, size_t bytes) {
    for (int i = from; i < from + kBlocks; ++i) blocks[i] = keep(realloc(blocks[i], bytes));
  };
  for (int round = 0; round < kRounds; ++round) {
    resize(0, 8000), resize(0, 4000);
    for (size_t bytes = 64; bytes <= 4096; bytes *= 2) resize(kBlocks, bytes);
    resize(kBlocks, round + 1 < kRounds ? 64 : 1000);
  }
  size_t live = 0;
  for (void* block : blocks) live += malloc_usable_size(block);
  printf("live %zu\n", live);
  return 0;
}

// One block after the other, all at one address.
int one_address(int, char**) {
  for (int i = 0; i < 50'000; ++i) free(keep(malloc(100)));
  return 0;
}

// So many sampled blocks live at once that every filter has its turn, while another thread frees sampled blocks all the
// time; then all are freed.
int many_samples(int, char**) {
  constexpr size_t kSize = 20'000;
  static void* blocks[4000];
  std::atomic<bool> done = false;
  std::thread other([&] {
    while (!done) free(keep(malloc(kSize)));
  });
  for (void*& block : blocks) block = keep(malloc(kSize));
  for (void*& block : blocks) block = keep(realloc(block, 2 * kSize));
  for (void* block : blocks) free(block);
  done = true;
  other.join();
  return 0;
}

__attribute__((noinline)) void* hoard() {
  constexpr size_t kSize = 64 * 1024;
  void* block = malloc(kSize);
  if (block != nullptr) memset(block, 1, kSize);
  return keep(block);
}

__attribute__((noinline)) void pass_on() {
  for (size_t size = 1000; size < 1'000'000; size *= 10) free(keep(malloc(size)));
}

// Holds more and more until the kernel ends it. Given a file it puts itself into that group of processes, whose memory
// has a limit; otherwise it limits itself, and is ended as if by the kernel.
int out_of_memory(int count, char** arguments) {
  constexpr long kMostBlocks = 32'768;  // 2 GiB: the kernel should have come by then
  if (count > 0) {
    const int group = open(arguments[0], O_WRONLY);
    if (group < 0 || dprintf(group, "%d", getpid()) < 0) return 2;
    close(group);
  } else {
    const rlimit most{1 << 30, 1 << 30};
    setrlimit(RLIMIT_AS, &most);
  }
  for (long i = 0; i < kMostBlocks; ++i) {
    if (hoard() == nullptr) raise(SIGKILL);
    pass_on();
  }
  return 1;
}

// One of two calls at each depth, so that each path is another stack.
__attribute__((noinline)) void along(unsigned path, int depth) {
  if (depth == 0) {
    free(keep(malloc(100)));
    return;
  }
  if (path % 2 == 0) {
    along(path / 2, depth - 1);
    tell_nothing();
  } else {
    along(path / 2, depth - 1);
    tell_nothing();
  }
}

// More stacks than anybody has room for.
int many_stacks(int, char**) {
  constexpr int kDepth = 16;
  for (unsigned path = 0; path < 1u << kDepth; ++path) along(path, kDepth);
  return 0;
}

// More blocks live at once than there is room for samples, of several threads; then all are freed, and a few more are
// allocated.
int crowd_of_samples(int, char**) {
  constexpr size_t kBlocks = 1'200'000;
  std::vector<void*> blocks(kBlocks);
  constexpr size_t kThreads = 4;
  std::vector<std::thread> threads;
  for (size_t first = 0; first < kThreads; ++first)
    threads.emplace_back([first, &blocks] {
      for (size_t i = first; i < kBlocks; i += kThreads) blocks[i] = keep(malloc(16));
    });
  for (std::thread& thread : threads) thread.join();
  for (void* block : blocks) free(block);
  for (int i = 0; i < 1000; ++i) keep(malloc(200));
  return 0;
}

// A child frees what its parent sampled, before and after its own first allocation.
int inherited(int, char**) {
  static void* blocks[1000];
  for (void*& block : blocks) block = keep(malloc(1000));
  const pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 500; ++i) free(blocks[i]);
    for (int i = 0; i < 100; ++i) keep(malloc(7000));
    for (int i = 500; i < 1000; ++i) free(blocks[i]);
    _exit(0);
  }
  int status = 1;
  waitpid(pid, &status, 0);
  return status == 0 ? 0 : 1;
}

// As Fortran has it: arrays of 10 MiB on the stack of main, one below the other, each touched from its far end.
__attribute__((noinline)) void down(int levels) {
  volatile char array[10 << 20];
  array[0] = 1;
  for (int i = 0; i < 100; ++i) keep(malloc(3000));
  if (levels > 1) down(levels - 1);
  array[sizeof array - 1] = 1;
}

int deep_stack(int, char**) {
  down(5);
  return 0;
}

}  // namespace

const Entry kStacks[] = {{"reallocations", reallocations},
                         {"reuse", reuse},
                         {"shrink-and-grow", shrink_and_grow},
                         {"one-address", one_address},
                         {"many-samples", many_samples},
                         {"inherited", inherited},
                         {"deep-stack", deep_stack},
                         {"out-of-memory", out_of_memory},
                         {"many-stacks", many_stacks},
                         {"crowd-of-samples", crowd_of_samples},
                         {nullptr, nullptr}};

}  // namespace scenario
