// SPDX-License-Identifier: MIT
//
// Threads that allocate, hand blocks to each other, come and go.

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <latch>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

// Starts `count` threads that run body(index), all at once.
template <typename Body>
void run_threads(int count, Body body) {
  std::atomic<int> waiting{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      for (++waiting; waiting < count;) {
      }
      body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// Each of 8 threads makes a known number of calls.
int known(int, char**) {
  run_threads(8, [](int index) {
    for (int i = 0; i < 100000; ++i) free(keep(malloc(64 + index)));
    for (int i = 0; i < 1000; ++i) keep(malloc(32));
  });
  return 0;
}

// Generations of short threads: shards are handed over again and again.
int generations(int argument_count, char** arguments) {
  const int threads = argument_count > 0 ? std::atoi(arguments[0]) : 1000;
  for (int i = 0; i < threads; ++i) {
    std::thread([] {
      for (int k = 0; k < 10; ++k) free(keep(malloc(3000)));
    }).join();
  }
  return 0;
}

// One thread allocates, the other frees: each one's own level means nothing, their sum does.
int handover(int, char**) {
  constexpr int kBlocks = 200000;
  static std::atomic<void*> slots[256];
  long long live = 0;
  long long highest = 0;
  std::thread consumer([] {
    for (int i = 0; i < kBlocks; ++i) {
      void* block;
      while ((block = slots[i % 256].exchange(nullptr)) == nullptr) {
      }
      free(block);
    }
  });
  for (int i = 0; i < kBlocks; ++i) {
    void* block = keep(malloc(1000));
    while (slots[i % 256].load() != nullptr) {
    }
    slots[i % 256] = block;
  }
  consumer.join();
  highest = 258LL * 1000;
  tell("live", live), tell("bound", highest);
  return 0;
}

// 8 threads allocate at full speed until the test has seen enough.
int full_speed(int, char**) {
  static std::atomic<bool> stop{false};
  std::thread watcher([] {
    ready("ready");
    stop = true;
  });
  run_threads(8, [](int) {
    for (long i = 0; !stop; ++i) free(keep(malloc(16 + i % 500)));
  });
  watcher.join();
  return 0;
}

// The main thread holds much and waits; a worker's level comes on top of it.
int peak_waiting(int, char**) {
  constexpr long long kBlock = 100'000;
  static void* held[1000];
  for (void*& block : held) block = keep(malloc(kBlock));
  std::thread([] {
    static void* blocks[600];
    for (void*& block : blocks) block = keep(malloc(kBlock));
    for (void* block : blocks) free(block);
  }).join();
  tell("peak", 1600 * kBlock);
  return 0;
}

// With a second thread about, one grows a block that is mapped by itself, and shrinks it again.
int peak_realloc(int, char**) {
  std::thread([] { keep(malloc(10)); }).join();
  void* block = malloc(1 << 20);
  block = keep(realloc(block, 200 << 20));
  keep(realloc(block, 1 << 20));
  tell("peak", 200LL << 20);
  return 0;
}

// Named threads with different loads.
int named(int, char**) {
  static std::atomic<int> done{0};
  run_threads(2, [](int index) {
    pthread_setname_np(pthread_self(), index == 0 ? "reader" : "writer");
    for (int i = 0; i < (index == 0 ? 100 : 5000); ++i) keep(malloc(10));
    for (++done; done < 2;) std::this_thread::yield();
  });
  return 0;
}

// Frees in destructors of thread-specific data, after the thread's shard is gone.
int late_frees(int, char**) {
  static pthread_key_t keys[3];
  for (pthread_key_t& key : keys) pthread_key_create(&key, [](void* block) { free(block); });
  for (int i = 0; i < 200; ++i) {
    std::thread([] {
      for (pthread_key_t key : keys) pthread_setspecific(key, malloc(100));
    }).join();
  }
  return 0;
}

// More threads at once than the first mapping holds, all alive together.
int crowd(int argument_count, char** arguments) {
  const int count = argument_count > 0 ? std::atoi(arguments[0]) : 100;
  static std::latch all_allocated{count};
  static std::latch seen{1};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([] {
      for (int k = 0; k < 100; ++k) keep(malloc(24));
      all_allocated.count_down();
      seen.wait();
    });
  }
  all_allocated.wait();
  ready("all are there");
  seen.count_down();
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace

const Entry kThreads[] = {{"threads", known},
                          {"generations", generations},
                          {"handover", handover},
                          {"full-speed", full_speed},
                          {"named", named},
                          {"peak-waiting", peak_waiting},
                          {"peak-realloc", peak_realloc},
                          {"late-frees", late_frees},
                          {"crowd", crowd},
                          {nullptr, nullptr}};

}  // namespace scenario
