// SPDX-License-Identifier: MIT
//
// Sets limits at run time: limit_caller plain | busy | silent | forked
#include <heapster/heapster.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr size_t kMega = 1024 * 1024;

bool set_limit(uint64_t bytes) { return heapster_set_limit(bytes) == 0; }
uint64_t get_limit() { return heapster_limit(); }
uint64_t get_remaining() { return heapster_remaining(); }

#define EXPECT(condition)                                                \
  do {                                                                   \
    if (!(condition)) return std::printf("not so: %s\n", #condition), 1; \
  } while (false)

bool can_have(size_t bytes) {
  void* block = std::malloc(bytes);
  std::free(block);
  return block != nullptr;
}

int set_and_lift() {
  void* kept = std::malloc(kMega);
  EXPECT(get_limit() == 0 && get_remaining() == UINT64_MAX);
  EXPECT(!set_limit(kMega) && get_limit() == 0);  // more than that lives
  EXPECT(can_have(8 * kMega));
  EXPECT(set_limit(4 * kMega) && get_limit() == 4 * kMega);
  const uint64_t left = get_remaining();
  EXPECT(left < 3 * kMega && left > 2 * kMega);
  EXPECT(!can_have(left + 1) && can_have(left - 100'000));
  void* more = std::malloc(kMega);
  EXPECT(more != nullptr && get_remaining() == left - malloc_usable_size(more));
  EXPECT(!set_limit(2 * kMega) && get_limit() == 4 * kMega);
  EXPECT(set_limit(16 * kMega) && can_have(8 * kMega) && !can_have(15 * kMega));
  EXPECT(set_limit(0) && get_limit() == 0 && get_remaining() == UINT64_MAX && can_have(64 * kMega));
  EXPECT(set_limit(UINT64_MAX) && can_have(64 * kMega));
  std::free(kept), std::free(more);
  return 0;
}

// A limit comes while other threads are at it, and none of them takes it out of force again.
int set_while_busy() {
  std::atomic<bool> over{false};
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (long round = 0; !over; ++round) {
        void* block = std::malloc(100 + static_cast<size_t>(round) % 1000);
        block = std::realloc(block, 2000);
        std::free(block);
        if (round == 1000) ++started;
      }
    });
  }
  while (started != 4) std::this_thread::yield();
  const bool set = set_limit(64 * kMega);
  int passed = 0;
  for (int i = 0; i < 20'000; ++i) passed += can_have(65 * kMega) ? 1 : 0;
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT(set && passed == 0);
  return 0;
}

// After seccomp any system call but these ends the process; the limit is reached all the same.
int set_while_silent() {
  mallopt(M_MMAP_THRESHOLD, 16 * kMega);
  mallopt(M_TRIM_THRESHOLD, 64 * kMega);
  std::free(std::malloc(8 * kMega));  // now the allocator needs no more from the kernel
  if (prctl(PR_SET_SECCOMP, 1) != 0) return 4;
  bool good = set_limit(2 * kMega) && !can_have(3 * kMega) && can_have(kMega);
  good = good && can_have(4000) && write(1, "alive\n", 6) == 6;
  syscall(SYS_exit, good ? 0 : 1);
  return 5;
}

// A child has its parent's limit, and what lives in it from before the fork counts.
int set_and_fork() {
  void* kept = std::malloc(2 * kMega);
  EXPECT(set_limit(4 * kMega));
  const uint64_t left = get_remaining();
  const pid_t child = fork();
  if (child == 0) {
    EXPECT(get_limit() == 4 * kMega && get_remaining() == left);
    EXPECT(!can_have(3 * kMega) && can_have(kMega));
    std::free(kept);
    EXPECT(can_have(3 * kMega));
    return 0;
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT(status == 0 && get_remaining() == left);
  std::free(kept);
  return 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const char* mode = argument_count > 1 ? arguments[1] : "";
  if (std::strcmp(mode, "plain") == 0) return set_and_lift();
  if (std::strcmp(mode, "busy") == 0) return set_while_busy();
  if (std::strcmp(mode, "silent") == 0) return set_while_silent();
  if (std::strcmp(mode, "forked") == 0) return set_and_fork();
  return 2;
}
