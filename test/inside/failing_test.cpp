// SPDX-License-Identifier: MIT
//
// Expectations that fail, each because of a function of its own: stacks_test.py looks at what their failures name.

#include <gtest/gtest.h>

#include <cstdlib>
#include <heapster/heapster.hpp>
#include <heapster/testing.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace heapster::testing;

// Calls that no compiler takes away.
void* (*volatile allocate)(std::size_t) = std::malloc;
void* (*volatile reallocate)(void*, std::size_t) = std::realloc;
void (*volatile release)(void*) = std::free;

// Functions that stay in their stacks: what follows the call keeps it from being the last one.
#define APART __attribute__((noinline))
void* kept = nullptr;
void* leaked = nullptr;
volatile int calls = 0;

APART void first_culprit() {
  for (int i = 0; i < 3; ++i) release(allocate(100));
  calls = calls + 1;
}
APART void second_culprit() {
  release(allocate(200));
  calls = calls + 1;
}
APART void keeps_a_block() {
  leaked = allocate(300);
  calls = calls + 1;
}
APART void makes_a_block() {
  kept = allocate(10);
  calls = calls + 1;
}
APART void grows_a_block() {
  kept = reallocate(kept, 5000);
  calls = calls + 1;
}
APART void allocates_meanwhile() {
  release(allocate(400));
  calls = calls + 1;
}
APART void fills_a_vector() {
  std::vector<std::string> words;
  words.emplace_back(100, 'x');
  calls = calls + 1;
}
template <int Number>
APART void one_of_many() {
  for (int i = 0; i <= Number; ++i) release(allocate(16));
  calls = calls + 1;
}

TEST(Failing, First) { EXPECT_THAT(first_culprit, AllocatesAtMost(2)); }
TEST(Failing, Second) { EXPECT_THAT(second_culprit, DoesNotAllocate()); }

TEST(Failing, BlockAfterOneThatHolds) {
  EXPECT_BLOCK(AllocatesAtMost(3)) { first_culprit(); }
  EXPECT_NO_ALLOCATIONS { second_culprit(); }
}

TEST(Failing, Outer) {
  EXPECT_NO_ALLOCATIONS {
    first_culprit();
    EXPECT_BLOCK(AllocatesAtMost(1)) { second_culprit(); }
  }
}

TEST(Failing, Leak) {
  EXPECT_THAT(
      [] {
        first_culprit();
        keeps_a_block();
      },
      LeaksNothing());
}

TEST(Failing, Growth) {
  makes_a_block();
  EXPECT_THAT(grows_a_block, DoesNotAllocate());
}

TEST(Failing, NotWhatAnotherThreadDoes) {
  EXPECT_NO_ALLOCATIONS {
    second_culprit();
    std::thread(allocates_meanwhile).join();
  }
}

TEST(Failing, WhatAnotherThreadDoesWhereAsked) {
  EXPECT_BLOCK(DoesNotAllocate(all_threads)) { std::thread(allocates_meanwhile).join(); }
}

TEST(Failing, NotAtAll) { EXPECT_THAT(first_culprit, ::testing::Not(AllocatesAtMost(3))); }

TEST(Failing, OfTheLibrary) { EXPECT_THAT(fills_a_vector, DoesNotAllocate()); }

TEST(Failing, Many) {
  EXPECT_NO_ALLOCATIONS {
    one_of_many<0>();
    one_of_many<1>();
    one_of_many<2>();
    one_of_many<3>();
    one_of_many<4>();
    one_of_many<5>();
    one_of_many<6>();
  }
}

// Far more of them than a process may have scopes or watches, on two threads at once.
TEST(Failing, AfterHundredsThatHold) {
  const auto many = [] {
    for (int i = 0; i < 300; ++i) EXPECT_THAT(first_culprit, AllocatesAtMost(3));
  };
  std::thread beside(many);
  many();
  beside.join();
  EXPECT_THAT(second_culprit, DoesNotAllocate());
}

}  // namespace
