// SPDX-License-Identifier: MIT
//
// A program that allocates at places of its own and tells, for each, what a profile of it has to show:
//   FUNCTION ALLOCATED_BLOCKS ALLOCATED_BYTES LIVE_BLOCKS LIVE_BYTES
// Bytes are usable ones. Nothing that it holds is ever moved, so that the places' figures are all there is to them.

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

namespace shop {

struct Told {
  const char* function;
  size_t alloc_blocks, alloc_bytes, live_blocks, live_bytes;
};

struct Place {
  Told told;
  void* blocks[4096];
};

Place leak{{"shop::leak_one(unsigned long)", 0, 0, 0, 0}, {}};
Place cache{{"shop::Cache::fill(int)", 0, 0, 0, 0}, {}};
Place churn{{"shop::churn_through(int)", 0, 0, 0, 0}, {}};
Place shelf{{"shop::shelf_space()", 0, 0, 0, 0}, {}};

void keep(Place& place, void* block) {
  place.blocks[place.told.live_blocks] = block;
  place.told.alloc_blocks += 1;
  place.told.alloc_bytes += malloc_usable_size(block);
  place.told.live_blocks += 1;
  place.told.live_bytes += malloc_usable_size(block);
}

void drop(Place& place) {
  void* const block = place.blocks[--place.told.live_blocks];
  place.told.live_bytes -= malloc_usable_size(block);
  std::free(block);
}

[[gnu::noinline]] void leak_one(size_t bytes) {
  keep(leak, std::malloc(bytes));
  asm volatile("");
}

struct Cache {
  [[gnu::noinline]] void fill(int blocks) {
    for (int i = 0; i < blocks; ++i) keep(cache, std::malloc(4000));
    asm volatile("");
  }
};

[[gnu::noinline]] void churn_through(int blocks) {
  for (int i = 0; i < blocks; ++i) {
    keep(churn, std::malloc(64));
    drop(churn);
  }
  asm volatile("");
}

// Shows in a stack only where inlined functions are told.
[[gnu::always_inline]] inline void* shelf_space() { return std::calloc(10, 50); }

[[gnu::noinline]] void fill_shelf() {
  keep(shelf, shelf_space());
  asm volatile("");
}

}  // namespace shop

int main() {
  using namespace shop;
  for (size_t i = 0; i < 300; ++i) leak_one(100 + i);
  Cache().fill(900);
  for (int i = 0; i < 500; ++i) drop(cache);
  churn_through(3000);
  for (int i = 0; i < 70; ++i) fill_shelf();
  for (const Place* place : {&leak, &cache, &churn, &shelf}) {
    const Told& told = place->told;
    std::printf("%s\t%zu\t%zu\t%zu\t%zu\n", told.function, told.alloc_blocks, told.alloc_bytes, told.live_blocks,
                told.live_bytes);
  }
}
