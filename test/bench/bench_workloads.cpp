// SPDX-License-Identifier: MIT
//
// One allocation workload, run for a few short rounds, one figure per round.
//
//   bench_workloads WORKLOAD THREADS ROUNDS MILLISECONDS
//
// Why not Google Benchmark: the subjects are LD_PRELOADs, so each lives in its own process, and a fair comparison on a
// machine whose speed drifts has to alternate between processes every fraction of a second. So this program is small,
// quick to start, and prints one line per round; the script beside it runs it many times, in turn under each subject,
// and takes best and median over all rounds. Many short processes also average over where the loader happens to
// place code and heap, which one long run cannot.
//
// The figure is wall time of the round / operations per thread: from the first thread's start to the last one's end.
// Threads must work at the same time, or contention is not measured: two that share one processor, or one that waits
// while the other works alone, can make a contended round look several times faster, and "best" would pick just that.
// So each thread gets a processor of its own where there are enough, and a round in which all were at work for less
// than three quarters of the time is printed as "apart", not "ns", and repeated, up to three times as often. (All do
// the same work; on different arenas they are not equally fast, so the overlap is never full.) With more threads than
// processors the figure includes waiting for one. One thread means the main thread of a process that never had another,
// because glibc is faster there, and the comparison should be with what single-threaded programs get.
//
// Nothing may be elided: compiled with -fno-builtin, and every pointer goes through an empty asm. Calls go through
// the PLT or GOT, as in any program. The first line names the object that malloc comes from, so that the script can
// tell a preload that was not loaded from one that costs nothing.

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "core_watch.h"
#include "heapster/heapster.hpp"

namespace {

using bench::Clock;
using Nanoseconds = std::chrono::duration<double, std::nano>;

void* kept(void* block) {
  asm volatile("" : "+r"(block) : : "memory");
  return block;
}

// One operation: malloc(64) and its free.
void run_pairs(uint64_t operations) {
  for (uint64_t i = 0; i < operations; ++i) std::free(kept(std::malloc(64)));
}

constexpr size_t live_blocks = 64;

struct Step {
  uint16_t size;
  uint16_t slot;
};

// Sizes are log-uniform in 8 B..4 KiB, drawn beforehand from a fixed seed: every subject sees the same ones, and the
// loop pays for no random numbers.
const std::array<Step, 4096>& mixed_steps() {
  static const auto steps = [] {
    std::array<Step, 4096> drawn{};
    std::mt19937_64 random(42);
    for (Step& step : drawn) {
      const double exponent = 3 + 9 * (static_cast<double>(random() >> 11) * 0x1p-53);
      step = {static_cast<uint16_t>(std::exp2(exponent)), static_cast<uint16_t>(random() % live_blocks)};
    }
    return drawn;
  }();
  return steps;
}

// One operation: free one of 64 live blocks, chosen at random, and allocate another size in its place.
void run_mixed(uint64_t operations) {
  const auto& steps = mixed_steps();
  std::array<void*, live_blocks> live{};
  for (void*& block : live) block = kept(std::malloc(64));
  for (uint64_t i = 0; i < operations; ++i) {
    const Step step = steps[i % steps.size()];
    std::free(live[step.slot]);
    live[step.slot] = kept(std::malloc(step.size));
  }
  for (void* block : live) std::free(block);
}

// One operation: a chain of malloc(16), realloc doubling up to 64 KiB (12 calls), free.
void run_realloc(uint64_t operations) {
  for (uint64_t i = 0; i < operations; ++i) {
    void* block = kept(std::malloc(16));
    for (size_t size = 32; size <= 65536; size *= 2) block = kept(std::realloc(block, size));
    std::free(block);
  }
}

// One operation: a block of a size that leaves the band of what a thread publishes.
void run_large(uint64_t operations) {
  for (uint64_t i = 0; i < operations; ++i) std::free(kept(std::malloc(100'000)));
}

// One operation: one of up to 100,000 blocks that are kept, and freed together.
void run_growth(uint64_t operations) {
  constexpr uint64_t kMost = 100'000;
  static void* blocks[kMost];
  while (operations != 0) {
    const uint64_t count = std::min(operations, kMost);
    for (uint64_t i = 0; i < count; ++i) blocks[i] = kept(std::malloc(1000));
    for (uint64_t i = 0; i < count; ++i) std::free(blocks[i]);
    operations -= count;
  }
}

// One operation: a scope is entered and left.
void run_scope(uint64_t operations) {
  for (uint64_t i = 0; i < operations; ++i) const heapster::scope scope{"parse"};
}

// One operation: the process's figures are read.
void run_stats(uint64_t operations) {
  heapster_stats stats;
  for (uint64_t i = 0; i < operations; ++i) {
    heapster_read(&stats);
    kept(&stats);
  }
}

struct Workload {
  const char* name;
  void (*run)(uint64_t operations);
  bool beside = false;  // one thread works, the others have allocated once and rest
};

constexpr std::array workloads = {Workload{"pair", run_pairs},
                                  Workload{"mixed", run_mixed},
                                  Workload{"realloc", run_realloc},
                                  Workload{"scope", run_scope},
                                  Workload{"stats", run_stats},
                                  Workload{"pair_beside", run_pairs, true},
                                  Workload{"large_beside", run_large, true},
                                  Workload{"growth_beside", run_growth, true},
                                  Workload{"realloc_beside", run_realloc, true}};

struct Span {
  Clock::time_point start;
  Clock::time_point end;
  bool alone;
};

struct Round {
  Nanoseconds taken;
  double overlap;  // the share of it in which all threads were at work
  bool alone;      // each had its core to itself
};

Round round_of_main_thread(const Workload& workload, uint64_t operations) {
  static bench::CoreWatch watch;
  const bool settled = watch.settle(std::chrono::milliseconds(20));
  const auto start = Clock::now();
  workload.run(operations);
  const Nanoseconds taken = Clock::now() - start;
  return {taken, 1, watch.is_alone() && settled};
}

// One processor for each thread; none if there are too few, and the scheduler decides.
std::vector<int> processors_for(unsigned threads) {
  std::vector<int> found = bench::allowed_processors();
  found.resize(found.size() < threads ? 0 : threads);
  return found;
}

Round judged(const std::vector<Span>& spans) {
  const auto start = std::ranges::minmax_element(spans, {}, &Span::start);
  const auto end = std::ranges::minmax_element(spans, {}, &Span::end);
  const Nanoseconds taken = end.max->end - start.min->start;
  const bool alone = std::ranges::all_of(spans, &Span::alone);
  return {taken, (end.min->end - start.max->start) / taken, alone};
}

// Each thread warms its caches (the allocator's and the subject's) before it waits for the others.
Round round_of_threads(const Workload& workload, unsigned threads, uint64_t operations) {
  std::vector<Span> spans(threads);
  std::latch ready(threads);
  const std::vector<int> processors = processors_for(threads);
  const bench::CoreWatch watch;
  {
    std::vector<std::jthread> team;
    for (unsigned thread = 0; thread < threads; ++thread) {
      team.emplace_back([&, thread] {
        if (!processors.empty()) bench::settle_on(processors[thread]);
        workload.run(operations / 64 + 1);
        const bool alone_before = processors.empty() || watch.is_alone();
        ready.arrive_and_wait();
        spans[thread].start = Clock::now();
        workload.run(operations);
        spans[thread].end = Clock::now();
        spans[thread].alone = alone_before && (processors.empty() || watch.is_alone());
      });
    }
  }
  return judged(spans);
}

Round run_round(const Workload& workload, unsigned threads, uint64_t operations) {
  return threads == 1 ? round_of_main_thread(workload, operations) : round_of_threads(workload, threads, operations);
}

// How many operations fill a round: doubled until a trial takes an eighth of it, then scaled. Also the warm-up.
uint64_t calibrate(const Workload& workload, unsigned threads, Nanoseconds round) {
  for (uint64_t operations = 64;; operations *= 2) {
    const Nanoseconds taken = run_round(workload, threads, operations).taken;
    if (taken >= round / 8) return static_cast<uint64_t>(static_cast<double>(operations) * (round / taken)) + 1;
  }
}

unsigned positive_number(const char* text) {
  unsigned number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc() && stop == end ? number : 0;
}

// Threads that have allocated once, and rest until the process ends.
void start_resting(unsigned threads) {
  static std::atomic<unsigned> there{0};
  for (unsigned i = 0; i < threads; ++i) {
    std::thread([] {
      kept(std::malloc(1000));
      ++there;
      there.notify_one();
      pause();
    }).detach();
  }
  for (unsigned seen = there; seen != threads; seen = there) there.wait(seen);
}

void print_provider_of_malloc() {
  Dl_info info{};
  void* const function = dlsym(RTLD_DEFAULT, "malloc");
  std::printf("malloc %s\n", dladdr(function, &info) != 0 ? info.dli_fname : "?");
}

}  // namespace

int main(int argc, char** argv) {
  const auto* workload = std::ranges::find_if(
      workloads, [&](const Workload& each) { return argc == 5 && std::strcmp(each.name, argv[1]) == 0; });
  unsigned threads = argc == 5 ? positive_number(argv[2]) : 0;
  const unsigned rounds = argc == 5 ? positive_number(argv[3]) : 0;
  const unsigned milliseconds = argc == 5 ? positive_number(argv[4]) : 0;
  if (workload == workloads.end() || threads == 0 || rounds == 0 || milliseconds == 0) {
    std::fputs("usage: bench_workloads pair|mixed|realloc|… THREADS ROUNDS MILLISECONDS\n", stderr);
    return 2;
  }
  print_provider_of_malloc();
  if (workload->beside) start_resting(std::exchange(threads, 1u));
  const uint64_t operations = calibrate(*workload, threads, std::chrono::milliseconds(milliseconds));
  const bool crowded = threads > 1 && processors_for(threads).empty();
  unsigned good = 0;
  for (unsigned attempt = 0; good < rounds && attempt < 3 * rounds; ++attempt) {
    const auto [taken, overlap, alone] = run_round(*workload, threads, operations);
    const bool together = crowded || overlap >= 0.75;
    const char* const verdict = !together ? "apart" : alone ? "ns" : "shared";
    std::printf("%s %.4f\n", verdict, taken.count() / static_cast<double>(operations));
    good += together && alone;
  }
  std::fflush(stdout);
  _exit(0);  // some threads may rest for ever
}
