// SPDX-License-Identifier: MIT
//
// A program that asks for its own figures: `inside SCENARIO` prints "name value" lines of what it read, so that a test
// can hold them against what it knows and against the report from outside.

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "heapster/heapster.hpp"

namespace {

void say(const char* name, int64_t value) { std::printf("%s %lld\n", name, static_cast<long long>(value)); }

void* kept(void* block) {
  asm volatile("" : "+r"(block) : : "memory");
  return block;
}

void allocate_and_free(int times, size_t size) {
  for (int i = 0; i < times; ++i) std::free(kept(std::malloc(size)));
}

void say_stats(const heapster::Stats& stats) {
  say("alloc_count", stats.alloc_count);
  say("alloc_sum", stats.alloc_sum);
  say("dealloc_count", stats.dealloc_count);
  say("temporary_count", stats.temporary_count);
  say("realloc_count", stats.realloc_count);
  say("realloc_growth_count", stats.realloc_growth_count);
  say("live_change", stats.live_change);
  say("use_change", stats.use_change);
  say("alloc_histogram", stats.alloc_histogram.count());
}

// Ten blocks of 100 bytes, of which three stay and one grows.
void work() {
  std::array<void*, 10> blocks{};
  for (void*& block : blocks) block = kept(std::malloc(100));
  for (size_t i = 3; i < blocks.size(); ++i) std::free(blocks[i]);
  blocks[0] = kept(std::realloc(blocks[0], 1000));
}

void measure() {
  say("active", heapster::active());
  say_stats(heapster::measure(work).stats);
}

void measure_thread() {
  bool done = false;
  std::thread other([&] {
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) allocate_and_free(1, 50);
  });
  const auto measured = heapster::measure_thread(work);
  __atomic_store_n(&done, true, __ATOMIC_RELEASE);
  other.join();
  say_stats(measured.stats);
}

// The block of a megabyte is gone before the inner stretch begins, and another is taken within it.
void peaks() {
  const auto outer = heapster::measure([] {
    allocate_and_free(1, 100'000);
    const auto inner = heapster::measure([] { allocate_and_free(1, 20'000); });
    say("inner", inner.stats.use_max);
  });
  say("outer", outer.stats.use_max);
  const heapster::Stats now = heapster::stats();
  say("now", now.use_curr);
  say("ever", now.use_max);
}

void reset() {
  work();
  allocate_and_free(1, 1'000'000);
  const heapster::Stats before = heapster::stats();
  heapster::reset();
  const heapster::Stats after = heapster::stats();
  say("count_before", before.alloc_count);
  say("count_after", after.alloc_count);
  say("live_is_kept", before.live_count == after.live_count && before.use_curr == after.use_curr);
  say("peak_is_live", after.use_max == after.use_curr);
  say("live_histogram_is_kept", before.live_histogram.count() == after.live_histogram.count());
  allocate_and_free(5, 64);
  say("count_since", heapster::stats().alloc_count);
}

void equal() {
  work();
  const heapster::Stats stats = heapster::stats();
  say_stats(stats);
  say("use_curr", stats.use_curr);
  say("use_max", stats.use_max);
  for (const int percent : {1, 50, 99}) {
    const auto bounds = stats.alloc_histogram.quantile(percent / 100.0).value_or(heapster::Histogram::Bounds{-1, -1});
    say(("p" + std::to_string(percent) + "_low").c_str(), bounds.low);
    say(("p" + std::to_string(percent) + "_high").c_str(), bounds.high);
  }
  std::fflush(stdout);
  _exit(0);  // what the streams free at an ordinary end is not in the figures above
}

void scopes() {
  {
    const heapster::scope outer{"parse"};
    allocate_and_free(10, 100);
    {
      const heapster::scope inner{"json"};
      allocate_and_free(20, 200);
    }
    allocate_and_free(1, 100);
  }
  allocate_and_free(3, 300);
  say("alloc_count", heapster::thread_stats().alloc_count);
}

// Eight threads, each in both scopes, one after the other and again.
void scopes_of_threads() {
  for (int round = 0; round < 2; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([] {
        for (int turn = 0; turn < 100; ++turn) {
          const heapster::scope one{turn % 2 == 0 ? "even" : "odd"};
          allocate_and_free(10, 100);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// The highest level is reached half inside a scope: 3,000 usable bytes outside it and 5,000 in it.
void scope_peak() {
  void* outside = kept(std::malloc(3'000));
  {
    const heapster::scope scope{"high"};
    std::free(kept(std::malloc(5'000)));
  }
  {
    const heapster::scope scope{"low"};
    std::free(kept(std::malloc(2'000)));
  }
  std::free(outside);
}

// A block that one scope allocates and the next call frees is temporary, wherever the free is.
void scope_temporary() {
  const heapster::Stats before = heapster::thread_stats();
  void* block = kept(std::malloc(100));
  {
    const heapster::scope scope{"inner"};
    std::free(block);
    block = kept(std::malloc(100));
  }
  std::free(block);
  say("temporary_count", (heapster::thread_stats() - before).temporary_count);
}

void many_scopes() {
  for (int i = 0; i < 100; ++i) {
    const heapster::scope scope{("scope " + std::to_string(i)).c_str()};
    allocate_and_free(1, 20'000);
  }
  const heapster::scope endless{std::string(200, 'x').c_str()};
  allocate_and_free(1, 20'000);
}

// A token of an outer scope leaves all of them; one of another thread, or of nothing, does nothing.
void odd_leaves() {
  const uint64_t outside = heapster_enter("a");
  const uint64_t in_a = heapster_enter("b");
  heapster_enter("c");
  std::thread([&] { heapster_leave(in_a), allocate_and_free(1, 7'000); }).join();
  heapster_leave(outside);
  heapster_leave(0);
  heapster_leave(~uint64_t{0});
  allocate_and_free(1, 9'000);
}

// A child begins outside any scope, and leaving its parent's does it no harm.
void forked() {
  const uint64_t outside = heapster_enter("parent");
  allocate_and_free(1, 100);
  if (fork() == 0) {
    allocate_and_free(1, 100);
    heapster_leave(outside);
    const heapster::scope scope{"child"};
    allocate_and_free(2, 100);
    _exit(0);
  }
  wait(nullptr);
  heapster_leave(outside);
}

// Two snapshots, and scopes and arenas that are in both or in the later one, that go on or stand still.
void compared() {
  heapster_arena_handle pool{"pool", 0}, still{"still", 0}, fresh{"fresh", 0};
  const auto step = [&](int times, int64_t bytes) {
    const heapster::scope scope{"parse"};
    allocate_and_free(times, 100);
    kept(std::malloc(static_cast<size_t>(bytes)));
    heapster_arena_asked(&pool, bytes);
    for (const auto tell : {heapster_arena_asked, heapster_arena_upstream}) tell(&pool, 0);
  };
  step(5, 1000);
  {
    const heapster::scope scope{"early"};
    allocate_and_free(1, 10);
  }
  heapster_arena_asked(&still, 64);
  if (heapster::active()) std::raise(SIGUSR1);
  step(7, 3000);
  {
    const heapster::scope scope{"parse"};
    const heapster::scope inner{"late"};
    allocate_and_free(4, 200);
  }
  heapster_arena_asked(&fresh, 32);
  heapster_arena_asked(&fresh, -32);
}

struct Scenario {
  const char* name;
  void (*run)();
};
// Blocks of all small sizes, by every way to ask for one, twice; and what the allocator itself says that they have.
void usable() {
  constexpr size_t kMost = 3000;
  std::vector<void*> blocks(12 * kMost);
  size_t used = 0;
  const heapster::Stats change = heapster::measure([&] {
                                   for (size_t i = 0; i < 2 * kMost; ++i) {
                                     const size_t size = 1 + i % kMost;
                                     void* aligned = nullptr;
                                     if (posix_memalign(&aligned, 256, size) != 0) std::abort();
                                     for (void* block : {aligned, std::malloc(size), std::calloc(1, size),
                                                         std::realloc(nullptr, size), std::aligned_alloc(64, size)})
                                       blocks[used++] = kept(block);
                                     void* grown = kept(std::malloc(size));
                                     blocks[used++] = kept(std::realloc(grown, size + 100));
                                   }
                                 }).stats;
  int64_t said = 0;
  for (size_t i = 0; i < used; ++i) said += static_cast<int64_t>(malloc_usable_size(blocks[i]));
  say("said", said);
  say("use_change", change.use_change);
  say("after", heapster::measure([&] {
                 for (size_t i = 0; i < used; ++i) std::free(blocks[i]);
               }).stats.use_change);
}

constexpr Scenario kScenarios[] = {{"measure", measure},
                                   {"measure_thread", measure_thread},
                                   {"peaks", peaks},
                                   {"reset", reset},
                                   {"equal", equal},
                                   {"scopes", scopes},
                                   {"scopes_of_threads", scopes_of_threads},
                                   {"scope_peak", scope_peak},
                                   {"scope_temporary", scope_temporary},
                                   {"many_scopes", many_scopes},
                                   {"odd_leaves", odd_leaves},
                                   {"compared", compared},
                                   {"forked", forked},
                                   {"usable", usable}};

}  // namespace

int main(int count, char** words) {
  std::setvbuf(stdout, nullptr, _IOFBF, 4096);
  for (const Scenario& scenario : kScenarios) {
    if (count == 2 && std::strcmp(words[1], scenario.name) == 0) {
      scenario.run();
      return 0;
    }
  }
  return 2;
}
