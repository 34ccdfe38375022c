// SPDX-License-Identifier: MIT
//
// Threads: sums stay exact while shards are handed from thread to thread, levels stay inside the
// bound that is printed.

#include <gtest/gtest.h>

#include <algorithm>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

reader::Snapshot measured(const Words& words) {
  Sandbox sandbox;
  Words command = {kSubject};
  command.insert(command.end(), words.begin(), words.end());
  EXPECT_EQ(sandbox.run_measured(command).exit_code, 0);
  return sandbox.snapshot();
}

// Each thread costs the same, so counts must lie on a line: any lost or doubled one breaks it.
TEST(Threads, ManyShortOnesHaveExactTotals) {
  const auto few = measured({"generations", "1000"});
  const auto some = measured({"generations", "2000"});
  const auto many = measured({"generations", "12000"});
  const auto per_thousand = [&](const std::string& name) {
    const int64_t first = figure(some, name) - figure(few, name);
    EXPECT_EQ(figure(many, name) - figure(some, name), 10 * first) << name;
    return first;
  };
  EXPECT_GE(per_thousand("alloc_count"), 10 * 1000);
  EXPECT_EQ(per_thousand("alloc_count"), per_thousand("dealloc_count"));
  EXPECT_LE(many.process.slots_used, 4u) << "one after the other, they share a slot or two";
}

TEST(Threads, AMillionShortOnesHaveExactTotalsInBoundedMemory) {
  const auto snapshot = measured({"generations", "1000000"});
  EXPECT_EQ(allocated_in_bucket_of(snapshot, 3000), 10 * 1000 * 1000);
  EXPECT_LE(snapshot.process.slots_used, 4u);
  EXPECT_EQ(figure(snapshot, "live_count"), figure(measured({"generations", "10"}), "live_count"));
}

TEST(Threads, BlocksHandedOverKeepLevelsInsideTheBound) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "handover"});
  const auto known = facts(ended.out);
  const auto snapshot = sandbox.snapshot();
  const int64_t fixed = figure(measured({"nothing"}), "use_max");
  EXPECT_GE(figure(snapshot, "use_max"), fixed);
  EXPECT_LE(figure(snapshot, "use_max"), fixed + known.at("bound") + 10000 + figure(snapshot, "use_max_error"));
  EXPECT_GT(figure(snapshot, "use_max_error"), 0);
  EXPECT_LE(figure(snapshot, "use_max_error"), 4 * 65536);
  EXPECT_EQ(figure(snapshot, "use_curr"), *snapshot.stats.live().bytes().value());
}

class Peaks : public testing::TestWithParam<const char*> {};

TEST_P(Peaks, AreFoundWithSeveralThreads) {
  Sandbox sandbox;
  const int64_t truth = facts(sandbox.run_measured({kSubject, GetParam()}).out).at("peak");
  const auto snapshot = sandbox.snapshot();
  EXPECT_GE(figure(snapshot, "use_max"), truth - figure(snapshot, "use_max_error"));
  EXPECT_LE(figure(snapshot, "use_max"), truth + truth / 50 + figure(snapshot, "use_max_error"));
}

INSTANTIATE_TEST_SUITE_P(Of, Peaks, testing::Values("peak-waiting", "peak-realloc"),
                         [](const auto& test) { return test.param[5] == 'w' ? "Waiting" : "Realloc"; });

TEST(Threads, EachHasItsOwnFigures) {
  const auto snapshot = measured({"named"});
  const auto of = [&](const std::string& name) {
    const auto thread = std::find_if(snapshot.threads.begin(), snapshot.threads.end(),
                                     [&](const reader::Thread& t) { return t.name == name; });
    return thread == snapshot.threads.end() ? int64_t{-1} : figure(thread->stats, "alloc_count");
  };
  EXPECT_GE(of("subject"), 1) << "the main thread";
  int64_t sum = 0;
  std::vector<int64_t> counts;
  for (const auto& thread : snapshot.threads) {
    counts.push_back(figure(thread.stats, "alloc_count"));
    sum += counts.back();
  }
  EXPECT_EQ(sum, figure(snapshot, "alloc_count"));
  EXPECT_EQ(std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n >= 5000; }), 1);
  EXPECT_EQ(std::count_if(counts.begin(), counts.end(), [](int64_t n) { return n >= 100 && n < 200; }), 1);
}

TEST(Threads, WhatTheyFreeAfterTheirEndIsCounted) {
  const auto before = measured({"nothing"});
  const auto snapshot = measured({"late-frees"});
  const int64_t leaked = figure(snapshot, "live_count") - figure(before, "live_count");
  EXPECT_LT(leaked, 20) << "600 blocks were freed by destructors of thread-specific data";
}

TEST(Threads, ACrowdLargerThanTheFirstMappingIsCountedApart) {
  const auto snapshot = measured({"crowd", "2000"});
  EXPECT_GE(snapshot.process.slots_used, 2000u);
  EXPECT_GE(allocated_in_bucket_of(snapshot, 24), 2000 * 100);
  EXPECT_FALSE(has_note(snapshot, "shards_shared"));
}

// While they live: what has no slot of its own is in one that is shared.
TEST(Threads, MoreThanThereAreSlotsAreCountedAtOnce) {
  constexpr int kThreads = 4200;
  Sandbox sandbox;
  Background crowd(sandbox, {kSubject, "crowd", std::to_string(kThreads)}, sandbox.measured());
  ASSERT_EQ(crowd.line(), "all are there");
  const auto path = reader::resolve(std::to_string(crowd.pid()), sandbox.run_directory());
  ASSERT_TRUE(path) << path.error().text;
  const auto snapshot = reader::load(*path);
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_TRUE(has_note(*snapshot, "shards_shared"));
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 24), kThreads * 100);
  EXPECT_LT(allocated_in_bucket_of(*snapshot, 24), kThreads * 110);
  crowd.say("seen");
  EXPECT_EQ(crowd.wait().exit_code, 0);
}

}  // namespace
}  // namespace heapster::test
