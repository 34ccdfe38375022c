// SPDX-License-Identifier: MIT
//
// Watches by themselves: whose work each sums up, what becomes of it, and many threads at once, which TSan looks at.

#include "preload/sampling/watches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <thread>
#include <vector>

#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/sampling/attribution.h"

namespace heapster::preload {

// The library around them, as far as they look at it.
constinit Process process{};
__thread ThreadState thread_state __attribute__((tls_model("initial-exec"))) = {};
constinit uint64_t sampling_mean = 1;

namespace {

constexpr uint64_t kBlock = 256;  // one, in 256ths
constexpr uint64_t kMostWatches = 8;
constexpr uint32_t kThreads = 4, kRounds = 200, kStacks = 20;  // of the threads at once

void allocate(uint32_t stack, uint64_t bytes) { tell_watches(stack, {.alloc_count = kBlock, .alloc_bytes = bytes}); }

std::vector<heapster_site> sites_of(uint64_t watch) {
  std::vector<heapster_site> sites(watched(watch, nullptr, 0));
  EXPECT_EQ(watched(watch, sites.data(), sites.size()), sites.size());
  return sites;
}

TEST(Watches, SumUpByStack) {
  allocate(3, 10);  // before
  const uint64_t watch = begin_watch(false);
  ASSERT_NE(watch, 0u);
  allocate(3, 100);
  allocate(0, 7);
  allocate(3, 100);
  tell_watches(3, {.alloc_bytes = 50, .growth_count = 1});
  tell_watches(3, {.freed_count = kBlock, .freed_bytes = 100});
  ASSERT_EQ(watched(watch, nullptr, 0), 2u);
  allocate(3, 1000);  // after it was asked
  std::vector<heapster_site> sites = sites_of(watch);
  std::sort(sites.begin(), sites.end(), [](const auto& a, const auto& b) { return a.stack < b.stack; });
  EXPECT_EQ(sites[0].stack, 0u);
  EXPECT_EQ(sites[0].alloc_bytes, 7u);
  EXPECT_EQ(sites[1].stack, 3u);
  EXPECT_EQ(sites[1].alloc_count, 2u);
  EXPECT_EQ(sites[1].alloc_bytes, 250u);
  EXPECT_EQ(sites[1].growth_count, 1u);
  EXPECT_EQ(sites[1].freed_count, 1u);
  EXPECT_EQ(sites[1].freed_bytes, 100u);
  end_watch(watch);
  const uint64_t next = begin_watch(false);
  EXPECT_TRUE(sites_of(next).empty()) << "the one before is forgotten";
  end_watch(next);
}

TEST(Watches, NestAndAreOfAThreadOrOfAll) {
  const uint64_t all = begin_watch(true), outer = begin_watch(false);
  allocate(1, 1);
  const uint64_t inner = begin_watch(false);
  allocate(2, 1);
  std::thread([] { allocate(5, 1); }).join();
  EXPECT_EQ(sites_of(inner).size(), 1u);
  allocate(4, 1);
  EXPECT_EQ(sites_of(outer).size(), 3u);
  EXPECT_EQ(sites_of(all).size(), 4u);
  for (const uint64_t watch : {all, outer, inner}) end_watch(watch);
}

TEST(Watches, AreRefusedWhereThereIsNoneToBeHad) {
  std::array<uint64_t, kMostWatches> taken{};
  for (uint64_t& watch : taken) EXPECT_NE(watch = begin_watch(false), 0u);
  EXPECT_EQ(begin_watch(false), 0u);
  for (const uint64_t watch : taken) end_watch(watch);
  sampling_mean = 0;
  EXPECT_EQ(begin_watch(false), 0u);
  sampling_mean = 1;
  EXPECT_EQ(watched(0, nullptr, 0), 0u);
  EXPECT_EQ(watched(kMostWatches + 1, nullptr, 0), 0u);
  end_watch(0);
}

TEST(Watches, KeepTheSitesThatTheyHaveRoomFor) {
  const uint64_t watch = begin_watch(false);
  for (uint32_t round = 0; round < 2; ++round)
    for (uint32_t stack = 0; stack < 2 * HEAPSTER_SITES; ++stack) allocate(stack, 1);
  const std::vector<heapster_site> sites = sites_of(watch);
  EXPECT_EQ(sites.size(), size_t{HEAPSTER_SITES});
  for (const heapster_site& site : sites) EXPECT_EQ(site.alloc_count, 2u) << site.stack;
  end_watch(watch);
}

TEST(Watches, AreNotOfAForksChild) {
  const uint64_t watch = begin_watch(false);
  allocate(1, 1);
  process.pid = 4711;  // as in the child, whose stacks have other places
  allocate(2, 1);
  EXPECT_TRUE(sites_of(watch).empty());
  end_watch(watch);
  process.pid = 0;
}

TEST(Watches, OfManyThreadsAtOnceAreExact) {
  const uint64_t all = begin_watch(true);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([] {
      for (uint32_t round = 0; round < kRounds; ++round) {
        const uint64_t own = begin_watch(false);
        for (uint32_t stack = 0; stack < kStacks; ++stack) allocate(stack, 1);
        const std::vector<heapster_site> sites = sites_of(own);
        EXPECT_EQ(sites.size(), kStacks);
        for (const heapster_site& site : sites) EXPECT_EQ(site.alloc_count, 1u);
        end_watch(own);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<heapster_site> sites = sites_of(all);
  EXPECT_EQ(sites.size(), kStacks);
  for (const heapster_site& site : sites) EXPECT_EQ(site.alloc_count, kThreads * kRounds);
  end_watch(all);
}

}  // namespace

}  // namespace heapster::preload
