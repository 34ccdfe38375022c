// SPDX-License-Identifier: MIT
#include <cstdio>
#include <heapster/memory_resource.hpp>
#include <list>
#include <memory_resource>
#include <vector>

// An arena, made over a counted upstream.
heapster::tracked_arena<std::pmr::monotonic_buffer_resource> frame{"frame"};

// A resource that is there already, under a name.
std::pmr::unsynchronized_pool_resource pool;
heapster::tracked_resource cache{"cache", &pool};

// An allocator.
heapster::arena_account nodes{"nodes"};
using Nodes = std::list<int, heapster::tracked_allocator<int>>;

int main() {
  for (int i = 0; i < 3; ++i) {
    { std::pmr::vector<int> numbers(1000, &frame); }
    frame.release();
  }
  std::pmr::vector<int> cached(1000, &cache);
  Nodes list({1, 2, 3}, nodes);
  const heapster::ArenaStats stats = frame.stats();
  std::printf("frame: peak %lld, %lld resets\n", static_cast<long long>(stats.use_max),
              static_cast<long long>(stats.reset_count));
  std::printf("cache: %lld\n", static_cast<long long>(cache.stats().use_curr));
  std::printf("nodes: %lld blocks\n", static_cast<long long>(nodes.outstanding()));
}
