// SPDX-License-Identifier: MIT
#include <heapster/benchmark.hpp>
#include <memory>
#include <vector>

static void fill(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<char> block(1000);
    benchmark::DoNotOptimize(block.data());
  }
}
BENCHMARK(fill);

static void keep(benchmark::State& state) {
  static std::vector<std::unique_ptr<char[]>> kept;
  for (auto _ : state) kept.push_back(std::make_unique<char[]>(1000));
}
BENCHMARK(keep)->Iterations(16);

HEAPSTER_BENCHMARK_MAIN();
