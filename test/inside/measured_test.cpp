// SPDX-License-Identifier: MIT
//
// The matchers and blocks of heapster/testing.hpp under heapster: what each lets through, what it refuses, and in which
// words. This program itself runs under the preload.

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <heapster/testing.hpp>
#include <string>
#include <thread>

namespace {

using namespace heapster::testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Calls that no compiler takes away.
void* (*volatile allocate)(std::size_t) = std::malloc;
void* (*volatile reallocate)(void*, std::size_t) = std::realloc;
void (*volatile release)(void*) = std::free;

void allocate_and_free(int times, std::size_t bytes) {
  for (int i = 0; i < times; ++i) release(allocate(bytes));
}

// The text of all failures of a statement, and how many they were.
struct Failures {
  int count = 0;
  std::string text;
};
template <class Statement>
Failures failures_of(Statement statement) {
  ::testing::TestPartResultArray results;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    statement();
  }
  Failures failures;
  for (int i = 0; i < results.size(); ++i) {
    ++failures.count;
    failures.text += results.GetTestPartResult(i).message();
  }
  return failures;
}

TEST(Matchers, HoldWhatKeepsTheirLimits) {
  EXPECT_THAT([] { allocate_and_free(3, 100); }, AllocatesAtMost(3));
  EXPECT_THAT([] { allocate_and_free(3, 100); }, AllocatesBytesAtMost(300));
  EXPECT_THAT([] { allocate_and_free(3, 100); }, LeaksNothing());
  EXPECT_THAT([] { allocate_and_free(3, 100000); }, PeaksAtMost(110000));
  EXPECT_THAT([] {}, DoesNotAllocate());
  EXPECT_THAT([] {}, AllOf(DoesNotAllocate(), LeaksNothing(), PeaksAtMost(0)));
}

TEST(Matchers, AreExactOneBeyondTheirLimits) {
  EXPECT_THAT([] { allocate_and_free(3, 100); }, Not(AllocatesAtMost(2)));
  EXPECT_THAT([] { allocate_and_free(3, 100); }, Not(AllocatesBytesAtMost(299)));
  EXPECT_THAT([] { allocate_and_free(3, 100000); }, Not(PeaksAtMost(99999)));
  EXPECT_THAT([] { allocate_and_free(1, 0); }, Not(DoesNotAllocate()));
  void* kept = nullptr;
  EXPECT_THAT([&] { kept = allocate(100); }, Not(LeaksNothing()));
  EXPECT_THAT([&] { release(kept); }, Not(LeaksNothing()));
}

TEST(Matchers, CountGrowingReallocations) {
  void* block = allocate(10);
  EXPECT_THAT([&] { block = reallocate(block, 100000); }, Not(DoesNotAllocate()));
  EXPECT_THAT([&] { block = reallocate(block, 300000); }, AllocatesAtMost(1));
  EXPECT_THAT([&] { block = reallocate(block, 10); }, DoesNotAllocate());
  release(block);
}

TEST(Matchers, TellWhatWasAllocatedBySize) {
  int runs = 0;
  const Failures failures = failures_of([&] {
    const auto work = [&] {
      ++runs;
      allocate_and_free(2, 20);
      allocate_and_free(1, 1000);
    };
    EXPECT_THAT(work, AllocatesAtMost(2));
  });
  EXPECT_EQ(failures.count, 1);
  EXPECT_EQ(runs, 1) << "the explanation is of the run that failed";
  EXPECT_THAT(failures.text, HasSubstr("Expected: allocates at most 2 times (this thread)"));
  EXPECT_THAT(failures.text, HasSubstr("of which the thread allocated 3 times, 1040 bytes, and freed 3 times; "
                                       "live +0 blocks, +0 bytes; peak "));
  EXPECT_THAT(failures.text, HasSubstr("\n    2 of 16 ... 31 bytes, 40 bytes together"));
  EXPECT_THAT(failures.text, HasSubstr("\n    1 of 512 ... 1023 bytes, 1000 bytes together"));
  EXPECT_THAT(failures.text, HasSubstr("HEAPSTER_STACKS=1"));
}

TEST(Matchers, NameTheCommandThatShowsStacks) {
  setenv("HEAPSTER_STACKS", "1", 1);
  const Failures failures =
      failures_of([] { EXPECT_THAT([] { allocate_and_free(1, 1); }, DoesNotAllocate(all_threads)); });
  unsetenv("HEAPSTER_STACKS");
  EXPECT_THAT(failures.text, HasSubstr("`heapster stacks " + std::to_string(getpid()) + "`"));
  EXPECT_THAT(failures.text, HasSubstr("Expected: does not allocate (all threads)"));
  EXPECT_THAT(failures.text, HasSubstr("the process allocated 1 times, 1 bytes"));
  EXPECT_THAT(failures.text, HasSubstr("\n    1 of 1 bytes, 1 bytes together"));
}

TEST(Matchers, TellLeaksAndPeaks) {
  void* kept = nullptr;
  const Failures leak = failures_of([&] { EXPECT_THAT([&] { kept = allocate(64); }, LeaksNothing()); });
  release(kept);
  EXPECT_THAT(leak.text, HasSubstr("Expected: leaves as much live as before (this thread)"));
  EXPECT_THAT(leak.text, HasSubstr("live +1 blocks, +72 bytes"));
  const Failures peak = failures_of([] { EXPECT_THAT([] { allocate_and_free(1, 100000); }, PeaksAtMost(1000)); });
  EXPECT_THAT(peak.text, HasSubstr("Expected: peaks at no more than 1000 bytes above the start (all threads)"));
  const Failures bytes = failures_of([] { EXPECT_THAT([] { allocate_and_free(1, 9); }, AllocatesBytesAtMost(8)); });
  EXPECT_THAT(bytes.text, HasSubstr("Expected: allocates at most 8 bytes (this thread)"));
}

TEST(Matchers, ExplainEachUseOfOneMatcher) {
  const ::testing::Matcher<const std::function<void()>&> matcher = AllocatesAtMost(1);
  std::size_t bytes = 10;
  const std::function<void()> work = [&] { allocate_and_free(2, bytes); };
  EXPECT_THAT(failures_of([&] { EXPECT_THAT(work, matcher); }).text, HasSubstr("2 times, 20 bytes"));
  bytes = 30;
  EXPECT_THAT(failures_of([&] { EXPECT_THAT(work, matcher); }).text, HasSubstr("2 times, 60 bytes"));
}

TEST(Matchers, SeeOtherThreadsOnlyWhenAsked) {
  // The thread is begun by the callable: what that allocates here is in both.
  const auto beside = [] { std::thread([] { allocate_and_free(50, 10); }).join(); };
  EXPECT_THAT(beside, AllocatesAtMost(49));
  EXPECT_THAT(beside, Not(AllocatesAtMost(49, all_threads)));
}

TEST(Matchers, DestroyTheResultFirst) {
  EXPECT_THAT([] { return std::string(1000, 'x'); }, LeaksNothing());
  EXPECT_THAT([] { return std::string(1000, 'x'); }, AllocatesAtMost(1));
}

TEST(Matchers, LeaveAFirstRunOutWhereAsked) {
  void* table = nullptr;
  const auto work = [&] {
    if (table == nullptr) table = allocate(100);
  };
  EXPECT_THAT(warmed_up(work), LeaksNothing());
  release(table);
  table = nullptr;
  EXPECT_THAT(work, Not(LeaksNothing()));
  release(table);
}

TEST(Matchers, TakeWhatChangesItselfByReference) {
  int runs = 0;
  auto counter = [runs]() mutable { return ++runs; };
  EXPECT_THAT(std::ref(counter), DoesNotAllocate());
  EXPECT_EQ(counter(), 2);
}

TEST(Matchers, LetExceptionsThrough) {
  const auto throws = [] { throw 1; };
  EXPECT_THROW(EXPECT_THAT(throws, DoesNotAllocate()), int);
  EXPECT_THAT([] {}, PeaksAtMost(0)) << "the peak's stretch was left";
}

TEST(Blocks, PassAndRunOnce) {
  int runs = 0;
  EXPECT_NO_ALLOCATIONS { ++runs; }
  EXPECT_NO_LEAKS {
    ++runs;
    allocate_and_free(2, 10);
  }
  EXPECT_BLOCK(AllocatesAtMost(2)) {
    EXPECT_BLOCK(AllocatesAtMost(1)) { allocate_and_free(1, 10); }
    allocate_and_free(1, 10);
    ++runs;
  }
  EXPECT_EQ(runs, 3);
}

TEST(Blocks, TellWhatWasAllocated) {
  int line = 0;
  ::testing::TestPartResultArray results;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    line = __LINE__ + 1;
    EXPECT_NO_ALLOCATIONS { allocate_and_free(2, 20); }
  }
  ASSERT_EQ(results.size(), 1);
  const auto& failure = results.GetTestPartResult(0);
  EXPECT_EQ(failure.line_number(), line);
  EXPECT_TRUE(failure.nonfatally_failed());
  EXPECT_THAT(failure.message(), HasSubstr("Expected: a block that does not allocate (this thread)\n  Actual: the "
                                           "thread allocated 2 times, 40 bytes"));
  EXPECT_THAT(failure.message(), HasSubstr("2 of 16 ... 31 bytes"));
}

TEST(Blocks, ThatAreAssertedReturn) {
  bool went_on = false;
  const auto test = [&] {
    ASSERT_NO_ALLOCATIONS { allocate_and_free(1, 1); }
    went_on = true;
  };
  const Failures failures = failures_of(test);
  EXPECT_EQ(failures.count, 1);
  EXPECT_FALSE(went_on);
  void* kept = nullptr;
  EXPECT_EQ(failures_of([&] {
              ASSERT_NO_LEAKS { kept = allocate(10); }
            }).count,
            1);
  release(kept);
}

TEST(Blocks, AreJudgedWhenLeftEarly) {
  const auto returns = [] {
    EXPECT_NO_ALLOCATIONS {
      allocate_and_free(1, 1);
      return;
    }
  };
  EXPECT_EQ(failures_of(returns).count, 1);
  const auto breaks = [] {
    EXPECT_NO_ALLOCATIONS {
      allocate_and_free(1, 1);
      break;
    }
  };
  EXPECT_EQ(failures_of(breaks).count, 1);
  const auto returns_unharmed = [] {
    EXPECT_NO_ALLOCATIONS { return; }
  };
  EXPECT_EQ(failures_of(returns_unharmed).count, 0);
  const auto throws = [] {
    EXPECT_NO_ALLOCATIONS { throw 1; }
  };
  EXPECT_THROW(throws(), int);
}

TEST(Blocks, BindNoElse) {
  bool otherwise = false;
  if (getpid() < 0) EXPECT_NO_ALLOCATIONS {
    }
  else
    otherwise = true;
  EXPECT_TRUE(otherwise);
}

TEST(Activity, IsSeen) {
  HEAPSTER_SKIP_UNLESS_ACTIVE() << "but it is";
  ASSERT_TRUE(heapster::active()) << "this test runs under the preload";
}

}  // namespace
