// SPDX-License-Identifier: MIT
//
// What a benchmark allocates, in Google Benchmark's JSON. One line instead of BENCHMARK_MAIN();
//
//     HEAPSTER_BENCHMARK_MAIN();
//
// or, beside a main of one's own, `heapster::benchmark_memory memory;` in it, before the benchmarks run. Then, with
// `heapster-run ./bench --benchmark_format=json` each benchmark has
//
//     allocs_per_iter        allocations, and reallocations that grew a block, per iteration
//     total_allocated_bytes  what they asked for, over the iterations of the memory run
//     max_bytes_used         the most that was live above the start of that run
//     net_heap_growth        what was live at its end above its start
//
// Google Benchmark makes a run of its own for these, of up to 16 iterations by one thread, after the timed ones: it
// measures the process, with what the library allocates itself for the run (some hundred bytes). Times are taken
// without the manager, but under heapster. Not under heapster, these fields are absent, and the context says so.

#pragma once

#if __cplusplus < 201703L
#error "benchmark.hpp needs C++17 or later (-std=c++17)"
#else

#include <benchmark/benchmark.h>

#include <cstdint>
#include <optional>

#include "heapster.hpp"

namespace heapster {

// Registered as the memory manager from its making to its end.
class benchmark_memory final : public ::benchmark::MemoryManager {
 public:
  benchmark_memory() {
    ::benchmark::AddCustomContext("heapster", active() ? "active" : "not active: run under heapster-run");
    if (active()) ::benchmark::RegisterMemoryManager(this);
  }
  ~benchmark_memory() {
    if (active()) ::benchmark::RegisterMemoryManager(nullptr);
  }
  benchmark_memory(const benchmark_memory&) = delete;
  benchmark_memory& operator=(const benchmark_memory&) = delete;

  // Google Benchmark's names. Its versions differ in which Stop they call, and whether both are there.
  void Start() {
    peak_.emplace();
    before_ = stats();
  }
  void Stop(Result& result) {
    const Stats difference = stats() - before_;
    result.num_allocs = difference.alloc_count + difference.realloc_growth_count;
    result.max_bytes_used = peak_->end() - (difference.use_curr - difference.use_change);
    result.total_allocated_bytes = difference.alloc_sum + difference.realloc_growth_sum;
    result.net_heap_growth = difference.use_change;
    peak_.reset();
  }
  void Stop(Result* result) { Stop(*result); }

 private:
  std::optional<detail::PeakStretch> peak_;
  Stats before_{};
};

}  // namespace heapster

#define HEAPSTER_BENCHMARK_MAIN()                    \
  static heapster::benchmark_memory heapster_memory; \
  BENCHMARK_MAIN()

#endif  // C++ below 17
