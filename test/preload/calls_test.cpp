// SPDX-License-Identifier: MIT
//
// What each call counts as: the table of docs/counters.md, row by row. The program's own start-up
// allocates, too; a run that does nothing else tells how much, and is subtracted.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

// The figures of a scenario beyond those of the one that does nothing.
class Beyond {
 public:
  explicit Beyond(const std::string& scenario, const Variables& more = {}) {
    Sandbox idle;
    idle.run_measured({kSubject, "nothing"}, more);
    before_ = idle.snapshot();
    Sandbox sandbox;
    ended_ = sandbox.run_measured({kSubject, scenario}, more);
    after_ = sandbox.snapshot();
  }
  int64_t operator[](const std::string& name) const { return figure(after_, name) - figure(before_, name); }
  int64_t in_bucket_of(uint64_t size) const {
    return allocated_in_bucket_of(after_, size) - allocated_in_bucket_of(before_, size);
  }
  Cell living_in(size_t bucket) const {
    const Cell after = after_.stats.live().cells[bucket], before = before_.stats.live().cells[bucket];
    return {after.count - before.count, after.bytes - before.bytes};
  }
  const Ended& ended() const { return ended_; }
  const reader::Snapshot& snapshot() const { return after_; }

 private:
  reader::Snapshot before_, after_;
  Ended ended_;
};

TEST(Calls, EachAllocatingCallCountsOnce) {
  const Beyond beyond("each-call");
  EXPECT_EQ(beyond.ended().exit_code, 0);
  EXPECT_EQ(beyond["alloc_count"], 14);
  EXPECT_EQ(beyond["alloc_sum"], 8 * 100 + 128 + 1 + 100 + 128 + 11 + 0)
      << "an over-aligned new asks for a multiple of its alignment";
  EXPECT_EQ(beyond["dealloc_count"], 14);
  EXPECT_EQ(beyond["use_curr"], 0);
  EXPECT_EQ(beyond["realloc_count"], 0);
  EXPECT_EQ(beyond.in_bucket_of(0), 1);
}

TEST(Calls, EachFreeingCallCountsOnce) {
  const Beyond beyond("frees");
  EXPECT_EQ(beyond.ended().exit_code, 0);
  EXPECT_EQ(beyond["alloc_count"], 4);
  EXPECT_EQ(beyond["dealloc_count"], 4) << "realloc(p, 0), cfree, free_sized, free_aligned_sized";
  EXPECT_EQ(beyond["free_null_count"], 5);
  EXPECT_EQ(beyond["realloc_fail_count"], 0);
  EXPECT_EQ(beyond["use_curr"], 0);
}

// libc has no free_sized; this allocator has, and ends the program that tells it a wrong size.
const Variables kOverPicky = {{"LD_PRELOAD", preload_path() + ":" + program_path("libpicky.so")}};

TEST(Calls, SizedFreesReachAnAllocatorThatHasThem) {
  for (const Variables& over : {Variables(), kOverPicky}) {
    for (const char* stacks : {"", "1"}) {
      Variables variables = over;
      variables["HEAPSTER_STACKS"] = stacks;
      const Beyond beyond("sized-frees", variables);
      EXPECT_EQ(beyond.ended().exit_code, 0) << beyond.ended().signal;
      EXPECT_EQ(beyond["dealloc_count"], 200);
      EXPECT_EQ(beyond["free_null_count"], 1);
      EXPECT_EQ(beyond["live_count"], 0);
      EXPECT_EQ(beyond["use_curr"], 0);
      if (beyond.snapshot().stacks) {
        const auto& samples = beyond.snapshot().stacks->samples;
        EXPECT_EQ(std::count_if(samples.begin(), samples.end(), [](const auto& sample) { return sample.bytes > 2500; }),
                  0);
      }
    }
  }
  Sandbox sandbox;
  const Words wrong = {kSubject, "wrongly-sized-free"};
  EXPECT_EQ(sandbox.run(wrong, {{"LD_PRELOAD", program_path("libpicky.so")}}).signal, SIGABRT);
  EXPECT_EQ(sandbox.run_measured(wrong, kOverPicky).signal, SIGABRT);
}

// libc's call malloc; this allocator's own do not.
TEST(Calls, CopiesOfTextsCountOnce) {
  for (const Variables& over : {Variables(), kOverPicky}) {
    const Beyond beyond("copies", over);
    EXPECT_EQ(beyond.ended().exit_code, 0) << beyond.ended().signal;
    EXPECT_EQ(beyond["alloc_count"], 200);
    EXPECT_EQ(beyond["alloc_sum"], 100 * (3001 + 2501));
    EXPECT_EQ(beyond["dealloc_count"], 100);
    EXPECT_EQ(beyond["live_count"], 100);
    EXPECT_EQ(coverage(beyond.snapshot()).verdict, "full");
  }
}

// What is freed and was not seen to be allocated tells that not everything was seen, whoever allocated it.
TEST(Calls, OfAnAllocatorsOwnInterfaceAreMissedAndThatIsSaid) {
  const Beyond beyond("unseen-blocks", kOverPicky);
  ASSERT_EQ(beyond.ended().exit_code, 0);
  EXPECT_EQ(beyond["live_count"], -1000);
  EXPECT_EQ(coverage(beyond.snapshot()).verdict, "partial");
  EXPECT_EQ(coverage(beyond.snapshot()).reasons.size(), 1u);
  EXPECT_FALSE(has_note(beyond.snapshot(), "own_interface")) << "by dlsym, it is not among the imports";

  Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({program_path("own_interface")}).exit_code, 0);
  EXPECT_TRUE(has_note(sandbox.snapshot(), "own_interface"));
  EXPECT_EQ(coverage(sandbox.snapshot()).verdict, "partial");
  EXPECT_EQ(coverage(sandbox.snapshot()).reasons.size(), 1u);
}

TEST(Calls, FailuresCountAsSuchAndChangeNothingElse) {
  const Beyond beyond("failures");
  EXPECT_EQ(beyond.ended().exit_code, 0) << "a result or errno differs from libc's";
  EXPECT_EQ(beyond["alloc_fail_count"], 3) << "malloc, calloc, posix_memalign";
  EXPECT_EQ(beyond["alloc_invalid_count"], 2) << "posix_memalign, memalign";
  EXPECT_EQ(beyond["realloc_fail_count"], 2) << "reallocarray overflow, realloc";
  EXPECT_EQ(beyond["realloc_request_sum"], 0) << "of successful ones";
  EXPECT_EQ(beyond["alloc_count"], 2);
  EXPECT_EQ(beyond["use_curr"], 0);
}

TEST(Calls, ReallocationsFallIntoTheirClasses) {
  const Beyond beyond("reallocs");
  ASSERT_EQ(beyond.ended().exit_code, 0);
  const auto known = facts(beyond.ended().out);
  ASSERT_EQ(known.size(), 15u);
  EXPECT_GT(known.at("realloc_remap_count"), 0);
  for (const auto& [name, value] : known) EXPECT_EQ(beyond[name], value) << name;
  EXPECT_EQ(beyond["realloc_in_place_count"], beyond["realloc_count"] - known.at("realloc_move_count"));
  EXPECT_EQ(beyond["realloc_growth_moved_count"] + beyond["realloc_shrink_moved_count"],
            known.at("realloc_move_count"));
  // At rest both ways of telling what is live agree, in sum and by size.
  EXPECT_EQ(figure(beyond.snapshot(), "use_curr"),
            figure(beyond.snapshot(), "usable_sum") + figure(beyond.snapshot(), "realloc_growth_sum") -
                figure(beyond.snapshot(), "dealloc_sum") - figure(beyond.snapshot(), "realloc_shrink_sum"));
  EXPECT_EQ(figure(beyond.snapshot(), "use_curr"), *beyond.snapshot().stats.live().bytes().value());
}

TEST(Calls, BlocksLiveInTheBucketsOfTheirSizes) {
  const Beyond beyond("living");
  ASSERT_EQ(beyond.ended().exit_code, 0);
  const auto known = facts(beyond.ended().out);
  ASSERT_EQ(known.size(), 128u);
  for (int bucket = 1; bucket < 65; ++bucket) {
    const std::string letter(1, static_cast<char>('0' + bucket));
    const Cell cell = beyond.living_in(bucket);
    EXPECT_EQ(static_cast<int64_t>(cell.count), known.at("count" + letter)) << bucket;
    EXPECT_EQ(static_cast<int64_t>(cell.bytes), known.at("bytes" + letter)) << bucket;
  }
}

TEST(Calls, AMappedBlockThatIsCutStaysCountedRight) {
  const Beyond beyond("cut-to-a-page");
  ASSERT_EQ(beyond.ended().exit_code, 0);
  const auto known = facts(beyond.ended().out);
  ASSERT_EQ(known.size(), 3u);
  for (const auto& [name, value] : known) EXPECT_EQ(beyond[name], value) << name;
}

TEST(Calls, PeakOfOneThreadIsExact) {
  const Beyond beyond("peak");
  const auto known = facts(beyond.ended().out);
  ASSERT_EQ(known.size(), 2u);
  EXPECT_EQ(beyond["use_max"], known.at("use_max"));
  EXPECT_EQ(beyond["use_curr"], known.at("use_curr"));
  EXPECT_EQ(figure(beyond.snapshot(), "use_max_error"), 0);
}

TEST(Calls, TemporaryBlocksAreThoseFreedBeforeTheNextAllocation) {
  const Beyond beyond("temporary");
  EXPECT_EQ(beyond["temporary_count"], 1001) << "the thousand, and the last of the second thousand";
}

TEST(Calls, SizesFallIntoPowerOfTwoBuckets) {
  const Beyond beyond("sizes");
  EXPECT_EQ(beyond.in_bucket_of(0), 100);
  EXPECT_EQ(beyond.in_bucket_of(1), 200);
  EXPECT_EQ(beyond.in_bucket_of(1023), 400);
  EXPECT_EQ(beyond.in_bucket_of(1024), 300);
  EXPECT_EQ(beyond.in_bucket_of(1 << 20), 1);
  EXPECT_EQ(beyond["live_count"], 1001);
}

// jemalloc has no pvalloc; libc's serves, and its block must not be shown to jemalloc.
TEST(Calls, WhatTheAllocatorLacksIsPassedOnUncounted) {
  const Sandbox sandbox;
  Variables variables = sandbox.measured();
  variables["LD_PRELOAD"] += ":libjemalloc.so.2";
  const Ended ended = sandbox.run({kSubject, "whole-pages"}, variables);
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.signal, 0);
  const auto snapshot = sandbox.snapshot();
  EXPECT_TRUE(has_note(snapshot, "borrowed_aligned"));
  EXPECT_EQ(allocated_in_bucket_of(snapshot, 60'000), 0);
}

}  // namespace
}  // namespace heapster::test
