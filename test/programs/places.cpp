// SPDX-License-Identifier: MIT
//
// Where a program may allocate besides its usual stack and its usual time: each scenario makes a known
// number of blocks of kSize there.

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

constexpr size_t kSize = 3000;

void allocate(int blocks) {
  for (int i = 0; i < blocks; ++i) keep(malloc(kSize));
}

// Destructors of thread-local objects and of keys run after or around the preload's own.
struct AllocatesAtTheEnd {
  int blocks = 0;
  ~AllocatesAtTheEnd() { allocate(blocks); }
};
int in_thread_destructors(int, char**) {
  static pthread_key_t keys[4];
  for (pthread_key_t& key : keys) pthread_key_create(&key, [](void*) { allocate(1); });
  for (int i = 0; i < 100; ++i) {
    std::thread([] {
      static thread_local AllocatesAtTheEnd last;
      last.blocks = 3;
      for (pthread_key_t key : keys) pthread_setspecific(key, keys);
    }).join();
  }
  return 0;
}

// After main: in a static destructor, in atexit handlers, and in one that another handler added.
int after_main(int, char**) {
  static AllocatesAtTheEnd last;
  last.blocks = 50;
  std::atexit([] {
    allocate(25);
    std::atexit([] { allocate(25); });
  });
  return 0;
}

// Threads on the smallest stacks that there are.
int on_small_stacks(int, char**) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) != 0) return 1;
  for (int i = 0; i < 100; ++i) {
    pthread_t thread;
    const auto body = [](void*) -> void* {
      allocate(1);
      free(keep(realloc(malloc(10), 100'000)));
      return nullptr;
    };
    if (pthread_create(&thread, &attributes, body, nullptr) != 0) return 1;
    pthread_join(thread, nullptr);
  }
  return 0;
}

// Memory for a stack, right above a page that may not be touched.
class GuardedStack {
 public:
  explicit GuardedStack(size_t size) : bytes_(kPage + (size + kPage - 1) / kPage * kPage), size_(size) {
    memory_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || mprotect(memory_, kPage, PROT_NONE) != 0) _exit(3);
  }
  ~GuardedStack() { munmap(memory_, bytes_); }
  GuardedStack(const GuardedStack&) = delete;
  GuardedStack& operator=(const GuardedStack&) = delete;
  stack_t description() const { return {.ss_sp = memory_ + kPage, .ss_flags = 0, .ss_size = size_}; }

 private:
  static constexpr size_t kPage = 4096;
  char* memory_ = nullptr;
  size_t bytes_;
  size_t size_;
};

ucontext_t outside, inside;

// Fibres on 16 KiB each.
int on_contexts(int, char**) {
  for (int i = 0; i < 100; ++i) {
    const GuardedStack stack(16 * 1024);
    getcontext(&inside);
    inside.uc_stack = stack.description();
    inside.uc_link = &outside;
    makecontext(
        &inside, [] { allocate(1); }, 0);
    swapcontext(&outside, &inside);
  }
  return 0;
}

// Runs a handler on as much stack as the kernel needs for its frame, and 3 KiB.
void run_on_an_alternate_stack(void (*handler)(int)) {
  const GuardedStack memory(static_cast<size_t>(sysconf(_SC_MINSIGSTKSZ)) + 3072);
  const stack_t stack = memory.description();
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, nullptr);
  sigaltstack(&stack, nullptr);
  raise(SIGUSR2);
  const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
  sigaltstack(&none, nullptr);
}

// The first call of a fresh thread; then the first and the last of a fork's child.
int on_alternate_stacks(int, char**) {
  for (int i = 0; i < 100; ++i) {
    std::thread([] { run_on_an_alternate_stack([](int) { allocate(1); }); }).join();
  }
  const auto live_and_end = [](int) {
    allocate(1);
    _exit(7);
  };
  const pid_t pid = fork();
  if (pid == 0) run_on_an_alternate_stack(live_and_end);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 1;
}

// Calls that glibc allows at any moment, because they never reach its lists: a free of NULL, and what must
// fail for its size. A timer interrupts a thread that does nothing else, and makes them once more: the
// same words are added to in the middle of an addition.
std::atomic<long long> handled{0};
void* held;
void harmless_calls() {
  free(nullptr);
  if (realloc(held, SIZE_MAX) != nullptr || malloc(SIZE_MAX) != nullptr) _exit(1);
}
int in_handlers(int, char**) {
  constexpr int kSignals = 5000;
  held = malloc(100);
  struct sigaction action {};
  action.sa_handler = [](int) {
    const int saved = errno;
    harmless_calls();
    errno = saved;
    ++handled;
  };
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often = {.it_interval = {0, 100}, .it_value = {0, 100}};
  const itimerval never = {};
  setitimer(ITIMER_REAL, &often, nullptr);
  long long calls = 0;
  for (; handled < kSignals; ++calls) harmless_calls();
  setitimer(ITIMER_REAL, &never, nullptr);
  tell("calls", calls + handled);
  return 0;
}

}  // namespace

const Entry kPlaces[] = {{"thread-destructors", in_thread_destructors},
                         {"after-main", after_main},
                         {"small-stacks", on_small_stacks},
                         {"contexts", on_contexts},
                         {"alternate-stacks", on_alternate_stacks},
                         {"handlers", in_handlers},
                         {nullptr, nullptr}};

}  // namespace scenario
