// SPDX-License-Identifier: MIT
//
// Programs whose level of live bytes is known at each moment: peaks, rests, and threads that only exist. Each prints
// what it knows.

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

using Clock = std::chrono::steady_clock;

const Clock::time_point started = Clock::now();

long long since_start() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started).count();
}

// A rest is what these programs do, and how long it is does not matter to who watches them.
void rest(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

// Nanoseconds of one call, at the best of some rounds.
template <typename Call>
long long best_of(int rounds, int calls, Call call) {
  long long best = -1;
  for (int round = 0; round < rounds; ++round) {
    const auto begun = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    const auto taken = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count() / calls;
    if (best < 0 || taken < best) best = taken;
  }
  return best;
}

// One thread works: at first beside one other, then beside very many that have allocated once and wait.
int beside_threads(int argument_count, char** arguments) {
  const int many = argument_count > 0 ? std::atoi(arguments[0]) : 1000;
  static std::latch end{1};
  static std::atomic<int> there{0};
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 * 1024);
  std::vector<pthread_t> threads;
  const auto add = [&] {
    pthread_t thread;
    const auto body = [](void*) -> void* {
      keep(malloc(1000));
      ++there;
      end.wait();
      return nullptr;
    };
    if (pthread_create(&thread, &small, body, nullptr) == 0) threads.push_back(thread);
  };
  const auto work = [](const char* small_name, const char* large_name) {
    tell(small_name, best_of(20, 100'000, [] { free(keep(malloc(64))); }));
    tell(large_name, best_of(20, 2000, [] { free(keep(malloc(100'000))); }));
  };
  add();
  while (there < 1) std::this_thread::yield();
  work("small", "large");
  for (int i = 1; i < many; ++i) add();
  while (there < static_cast<int>(threads.size())) std::this_thread::yield();
  work("small_beside_many", "large_beside_many");
  tell("threads", static_cast<long long>(threads.size()));
  end.count_down();
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  return 0;
}

// Each thread goes down by a band's width after its step, and then all go up by twice as much together: the true peak
// is where no step is.
int within_bands(int, char**) {
  constexpr int kThreads = 8;
  constexpr size_t kBlock = 4072;
  static std::barrier barrier{kThreads};
  static std::atomic<int> turn{0};
  std::vector<std::thread> threads;
  for (int me = 0; me < kThreads; ++me) {
    threads.emplace_back([me] {
      void* low[16];
      void* high[32];
      barrier.arrive_and_wait();
      while (turn != me) std::this_thread::yield();
      for (int i = 0; i < 2000; ++i) free(keep(malloc(16000)));
      for (void*& block : low) block = keep(malloc(kBlock));
      void* top = keep(malloc(70000));
      for (void* block : low) free(block);
      ++turn;
      barrier.arrive_and_wait();
      for (void*& block : high) block = keep(malloc(kBlock));
      barrier.arrive_and_wait();
      for (void* block : high) free(block);
      free(top);
    });
  }
  for (std::thread& thread : threads) thread.join();
  tell("peak", kThreads * (32LL * 4072 + 70000));
  return 0;
}

// Asks again and again for more than the limit allows, while another thread allocates and frees a little.
int refused(int, char**) {
  void* block = keep(malloc(6 << 20));
  static std::atomic<bool> stop{false};
  std::thread churn([] {
    while (!stop) {
      void* blocks[24];
      for (void*& each : blocks) each = keep(malloc(4000));
      for (void* each : blocks) free(each);
    }
  });
  long long times = 0;
  for (const auto until = Clock::now() + std::chrono::milliseconds(300); Clock::now() < until;) {
    void* more = keep(malloc(5 << 20));
    times += more == nullptr;
    free(more);
  }
  stop = true;
  churn.join();
  free(block);
  tell("refused", times);
  return 0;
}

// A first refusal by realloc, so that the snapshot which it leaves is written in the middle of the call.
int refused_realloc(int, char**) {
  void* block = malloc(1000);
  for (int i = 0; i < 40; ++i) free(keep(malloc(100)));
  void* more = keep(realloc(block, 100 << 20));
  free(more != nullptr ? more : block);
  tell("refused", more == nullptr);
  return 0;
}

// Grows, rests there, and frees it all: the level during the rest is the peak. Blocks of the size given.
int plateau(int argument_count, char** arguments) {
  const size_t size = argument_count > 0 ? static_cast<size_t>(std::atoll(arguments[0])) : 20000;
  static void* blocks[3000];
  rest(std::chrono::milliseconds(50));
  const size_t count = size > 1 << 20 ? 64 : 3000;
  for (size_t i = 0; i < count; ++i) blocks[i] = keep(malloc(size));
  tell("reached", since_start());
  rest(std::chrono::milliseconds(400));
  tell("left", since_start());
  for (size_t i = 0; i < count; ++i) free(blocks[i]);
  rest(std::chrono::milliseconds(50));
  tell("level", static_cast<long long>(count * size));
  return 0;
}

// Two rises to nearly the same height, of different sizes: the second is the peak.
int two_peaks(int, char**) {
  static void* blocks[2002];
  for (int i = 0; i < 1000; ++i) blocks[i] = keep(malloc(10'000));
  for (int i = 0; i < 1000; ++i) free(blocks[i]);
  rest(std::chrono::milliseconds(300));
  tell("second", since_start());
  for (int i = 0; i < 2002; ++i) blocks[i] = keep(malloc(5'000));
  tell("peak", 2002LL * 5000);
  for (int i = 0; i < 2002; ++i) free(blocks[i]);
  return 0;
}

// Several threads go up and down within their bands, and a snapshot is taken now and then.
int dumps(int, char**) {
  static std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      while (!stop) {
        void* blocks[12];
        for (void*& block : blocks) block = keep(malloc(4000));
        std::this_thread::yield();
        for (void* block : blocks) free(block);
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    std::this_thread::yield();
    raise(SIGUSR1);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return 0;
}

// Forbids reading the processor's counter, and then has more threads than are looked at without asking for the time.
int no_counter(int, char**) {
#if defined(__x86_64__)
  if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV) != 0) return 1;
#endif
  std::vector<std::thread> threads;
  std::barrier all{20};
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&all] {
      all.arrive_and_wait();
      for (int i = 0; i < 200; ++i) keep(malloc(20'000));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace

const Entry kLevels[] = {{"beside-threads", beside_threads},
                         {"within-bands", within_bands},
                         {"refused", refused},
                         {"refused-realloc", refused_realloc},
                         {"plateau", plateau},
                         {"two-peaks", two_peaks},
                         {"dumps", dumps},
                         {"no-counter", no_counter},
                         {nullptr, nullptr}};

}  // namespace scenario
