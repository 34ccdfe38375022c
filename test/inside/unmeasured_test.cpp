// SPDX-License-Identifier: MIT
//
// heapster/testing.hpp in a program that does not run under heapster: nothing passes in silence.

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <heapster/testing.hpp>
#include <string>

namespace {

using namespace heapster::testing;

const char* const kSentence =
    "nothing is measured: this program does not run under heapster; run the test with `heapster-run ./test`";

// The failures with that sentence.
template <class Statement>
int sentences_of(Statement statement) {
  ::testing::TestPartResultArray results;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    statement();
  }
  int sentences = 0;
  for (int i = 0; i < results.size(); ++i) {
    sentences += std::string(results.GetTestPartResult(i).message()).find(kSentence) != std::string::npos;
  }
  return sentences;
}

TEST(Unmeasured, MatchersFailEvenWhereNegated) {
  int runs = 0;
  const auto work = [&] { ++runs; };
  EXPECT_EQ(sentences_of([&] { EXPECT_THAT(work, DoesNotAllocate()); }), 1);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(sentences_of([&] { EXPECT_THAT(work, ::testing::Not(AllocatesAtMost(1))); }), 1);
  EXPECT_EQ(sentences_of([&] { EXPECT_THAT(work, LeaksNothing(all_threads)); }), 1);
  EXPECT_EQ(sentences_of([&] { EXPECT_THAT(work, PeaksAtMost(1)); }), 1);
}

TEST(Unmeasured, BlocksRunAndFail) {
  int runs = 0;
  EXPECT_EQ(sentences_of([&] {
              EXPECT_NO_ALLOCATIONS { ++runs; }
            }),
            1);
  EXPECT_EQ(sentences_of([&] {
              ASSERT_NO_LEAKS { ++runs; }
            }),
            1);
  EXPECT_EQ(sentences_of([&] {
              EXPECT_NO_ALLOCATIONS { return; }
            }),
            1);
  EXPECT_EQ(runs, 2);
}

TEST(Unmeasured, TestsMaySkipThemselves) {
  ::testing::TestPartResultArray results;
  bool went_on = false;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
    [&] {
      HEAPSTER_SKIP_UNLESS_ACTIVE();
      went_on = true;
    }();
  }
  ASSERT_EQ(results.size(), 1);
  EXPECT_TRUE(results.GetTestPartResult(0).skipped());
  EXPECT_THAT(results.GetTestPartResult(0).message(), ::testing::HasSubstr(kSentence));
  EXPECT_FALSE(went_on);
}

}  // namespace
