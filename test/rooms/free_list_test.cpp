// SPDX-License-Identifier: MIT

#include "preload/base/free_list.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace heapster::preload {
namespace {

struct Places {
  uint32_t below[64] = {};
  FreeList list;

  void push(uint32_t index) {
    list.push(index, [this](uint32_t at) -> uint32_t& { return below[at]; });
  }
  uint32_t pop() {
    return list.pop([this](uint32_t at) -> uint32_t& { return below[at]; });
  }
};

TEST(FreeList, GivesTheLastFirst) {
  Places places;
  EXPECT_EQ(places.pop(), kNoPlace);
  places.push(3);
  places.push(0);
  places.push(63);
  EXPECT_EQ(places.pop(), 63u);
  EXPECT_EQ(places.pop(), 0u);
  EXPECT_EQ(places.pop(), 3u);
  EXPECT_EQ(places.pop(), kNoPlace);
}

TEST(FreeList, IsEmptyAfterClear) {
  Places places;
  places.push(1);
  places.list.clear();
  EXPECT_EQ(places.pop(), kNoPlace);
}

// A place that two threads have at once is what a list without the head's tag gives out.
TEST(FreeList, GivesNoPlaceTwice) {
  Places places;
  std::atomic<int> holders[64] = {};
  std::atomic<int> twice{0};
  for (uint32_t i = 0; i < 8; ++i) places.push(i);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100'000; ++i) {
        const uint32_t place = places.pop();
        if (place == kNoPlace) continue;
        if (holders[place]++ != 0) ++twice;
        --holders[place];
        places.push(place);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(twice, 0);
  size_t left = 0;
  while (places.pop() != kNoPlace) ++left;
  EXPECT_EQ(left, 8u);
}

}  // namespace
}  // namespace heapster::preload
