// SPDX-License-Identifier: MIT
//
// Levels and peaks against programs that know their own: within what is told of them, at the time that is told, and at
// a cost that does not grow with threads which merely exist.

#include <gtest/gtest.h>

#include <algorithm>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");
constexpr int64_t kMega = 1 << 20;

struct Outcome {
  std::map<std::string, int64_t> known;
  std::vector<reader::Snapshot> snapshots;  // on the signal, and the last one at the end

  const reader::Snapshot& last() const { return snapshots.back(); }
};

Outcome run(const Words& words, const Variables& variables = {}) {
  Sandbox sandbox;
  Words command = {kSubject};
  command.insert(command.end(), words.begin(), words.end());
  const Ended ended = sandbox.run_measured(command, variables);
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  Outcome result{facts(ended.out), {}};
  std::vector<reader::Found> found = sandbox.snapshots();
  std::sort(found.begin(), found.end(), [](const reader::Found& a, const reader::Found& b) {
    return a.snapshot.process.duration < b.snapshot.process.duration;
  });
  for (reader::Found& each : found) result.snapshots.push_back(std::move(each.snapshot));
  if (result.snapshots.empty()) {
    ADD_FAILURE() << "no snapshot";
    result.snapshots.emplace_back();
  }
  return result;
}

int64_t column(const reader::Timeline& timeline, const std::vector<int64_t>& point, const char* name) {
  return point.at(timeline.column(name).value());
}

// The level that the timeline tells for a moment: that of the last point before.
int64_t level_at(const reader::Timeline& timeline, int64_t nanoseconds) {
  int64_t level = 0;
  for (const auto& point : timeline.points) {
    if (column(timeline, point, "time") > nanoseconds) break;
    level = column(timeline, point, "use_curr");
  }
  return level;
}

int64_t highest_in(const reader::Timeline& timeline) {
  int64_t highest = 0;
  for (const auto& point : timeline.points) highest = std::max(highest, column(timeline, point, "use_curr"));
  return highest;
}

// It was 2,600 times as much beside 1,000 threads, and 300 ns more for a small block beside 4,000.
TEST(Levels, ThreadsThatMerelyExistCostNothing) {
  auto known = run({"beside-threads", "1000"}, {{"HEAPSTER_SIGNAL", "none"}}).known;
  ASSERT_EQ(known["threads"], 1000);
  EXPECT_LT(known["large_beside_many"], 5 * known["large"] + 50);
  EXPECT_LT(known["small_beside_many"], 3 * known["small"] + 30);
}

TEST(Levels, ThePeakLiesWithinItsBound) {
  const Outcome done = run({"within-bands"});
  const int64_t fixed = figure(run({"nothing"}).last(), "use_max");
  const int64_t told = figure(done.last(), "use_max");
  const int64_t error = figure(done.last(), "use_max_error");
  EXPECT_GE(told + error, done.known.at("peak"));
  EXPECT_LE(told - error, done.known.at("peak") + fixed + 8 * 20'000) << "the program's own, and its threads'";
  EXPECT_LE(error, 9 * 2 * 64 * 1024) << "two bands for each thread";
}

TEST(Levels, WhatTheLimitRefusedNeverLived) {
  const Outcome done = run({"refused"}, {{"HEAPSTER_LIMIT", "10M"}});
  EXPECT_GT(done.known.at("refused"), 100);
  EXPECT_LE(figure(done.last(), "use_max"), 7 * kMega);
  EXPECT_LE(highest_in(done.last().timeline), 7 * kMega);
  for (const reader::Snapshot& each : done.snapshots) EXPECT_LE(figure(each, "use_curr"), 7 * kMega);
}

TEST(Levels, ARefusedReallocAskedForNothing) {
  const Outcome done = run({"refused-realloc"}, {{"HEAPSTER_LIMIT", "10M"}});
  ASSERT_EQ(done.known.at("refused"), 1);
  ASSERT_EQ(done.snapshots.size(), 2u) << "one at the first refusal, one at the end";
  const int64_t fixed = figure(run({"nothing"}).last(), "realloc_request_sum");
  for (const reader::Snapshot& each : done.snapshots) EXPECT_EQ(figure(each, "realloc_request_sum"), fixed);
}

class Plateau : public testing::TestWithParam<const char*> {};

TEST_P(Plateau, IsToldWhileItLasts) {
  const Outcome done = run({"plateau", GetParam()});
  const reader::Snapshot& last = done.last();
  const int64_t begin = done.known.at("reached") * 1000;
  const int64_t end = done.known.at("left") * 1000;
  const int64_t level = done.known.at("level");
  // What the last step before the rest did not see yet, at the most.
  const int64_t missed = std::max(level / 32, 32 * int64_t{1024});
  for (const int64_t part : {1, 2, 3}) {
    const int64_t moment = begin + (end - begin) * part / 4;
    EXPECT_GE(level_at(last.timeline, moment), level - missed) << "after " << part << " quarters of the rest";
  }
  const auto peak_time = static_cast<int64_t>(last.stats.use.max_time.value_or(0) * 1e9);
  EXPECT_LT(peak_time, begin + (end - begin) / 2);
}

INSTANTIATE_TEST_SUITE_P(Of, Plateau, testing::Values("500", "20000", "4194304"),
                         [](const auto& test) { return std::string("BlocksOf") + test.param; });

TEST(Levels, TheTableAtThePeakIsOfTheSameRise) {
  const Outcome done = run({"two-peaks"});
  const reader::AtPeak& table = done.last().at_peak;
  EXPECT_GE(table.time, static_cast<double>(done.known.at("second")) / 1e6 - 0.02);
  const int64_t peak = figure(done.last(), "use_max");
  EXPECT_GE(table.use_curr, peak - peak / 64 - 16 * 1024);
  EXPECT_GE(static_cast<int64_t>(table.live.cells[13].count), 1900) << "blocks of 5,000 bytes";
  EXPECT_GE(done.last().stats.use.max_time.value_or(0), table.time - 0.02);
}

TEST(Levels, ThePeakNeverFallsFromOneSnapshotToTheNext) {
  const Outcome done = run({"dumps"});
  ASSERT_GT(done.snapshots.size(), 5u);
  int64_t highest = 0;
  for (const reader::Snapshot& each : done.snapshots) {
    EXPECT_GE(figure(each, "use_max"), highest);
    highest = figure(each, "use_max");
  }
}

TEST(Levels, AProgramMayForbidTheProcessorsCounter) {
  for (const char* stacks : {"0", "64K"}) {
    const Outcome done = run({"no-counter"}, {{"HEAPSTER_STACKS", stacks}});
    EXPECT_GE(figure(done.last(), "use_max") + figure(done.last(), "use_max_error"), 20 * 200 * 20'000);
  }
}

}  // namespace
}  // namespace heapster::test
