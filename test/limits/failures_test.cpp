// SPDX-License-Identifier: MIT
//
// Failures on purpose: which attempts they hit, the same ones in each run, and no others.

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kCapped = program_path("capped");
constexpr int64_t kAttempts = 20'000;

struct Attempts {
  std::vector<int64_t> failed;  // by the program's own numbers
  reader::Snapshot snapshot;
};
Attempts run_with(const std::string& rule) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "attempts", std::to_string(kAttempts)}, {{"HEAPSTER_FAIL", rule}});
  EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err;
  EXPECT_EQ(ended.out.find("without"), std::string::npos);
  Attempts run{{}, sandbox.snapshot()};
  std::istringstream lines(ended.out);
  for (int64_t number = 0; lines >> number;) run.failed.push_back(number);
  return run;
}

int64_t failures_in(const reader::Snapshot& snapshot) {
  return figure(snapshot, "alloc_fail_count") + figure(snapshot, "realloc_fail_count");
}

int64_t injected_in(const reader::Snapshot& snapshot) {
  for (const auto& note : snapshot.notes) {
    if (note.name == "failures_injected") return note.count;
  }
  return 0;
}

// Every one that was counted, of whichever kind and outcome.
int64_t attempts_in(const reader::Snapshot& snapshot) {
  return figure(snapshot, "alloc_count") + figure(snapshot, "realloc_count") + failures_in(snapshot);
}

TEST(Failures, EveryNthIsHitAndNoOther) {
  for (const int64_t each : {2, 7, 1000}) {
    const Attempts run = run_with("every:" + std::to_string(each));
    EXPECT_EQ(failures_in(run.snapshot), attempts_in(run.snapshot) / each);
    EXPECT_EQ(injected_in(run.snapshot), failures_in(run.snapshot));
    ASSERT_GE(static_cast<int64_t>(run.failed.size()), kAttempts / each - 1);
    EXPECT_LE(run.failed[0], each);
    for (size_t i = 1; i < run.failed.size(); ++i) EXPECT_EQ(run.failed[i] - run.failed[i - 1], each);
  }
  EXPECT_GE(static_cast<int64_t>(run_with("every:1").failed.size()), kAttempts);
}

TEST(Failures, OneIsHitWhereOneIsNamed) {
  const Attempts every = run_with("every:42");
  const Attempts one = run_with("nth:42");
  ASSERT_EQ(one.failed.size(), 1u);
  EXPECT_EQ(one.failed[0], every.failed[0]);
  EXPECT_EQ(failures_in(one.snapshot), 1);
  EXPECT_EQ(injected_in(one.snapshot), 1);
}

TEST(Failures, AProbabilityHitsTheSameInEachRun) {
  const Attempts first = run_with("prob:0.01,seed:7");
  EXPECT_EQ(first.failed, run_with("prob:0.01,seed:7").failed);
  EXPECT_NE(first.failed, run_with("prob:0.01,seed:8").failed);
  EXPECT_EQ(run_with("prob:0.01").failed, run_with("prob:0.01,seed:0").failed);
  const double expected = kAttempts * 0.01;
  EXPECT_NEAR(static_cast<double>(first.failed.size()), expected, 5 * std::sqrt(expected));
  EXPECT_EQ(static_cast<int64_t>(run_with("prob:1").failed.size()), kAttempts);
}

TEST(Failures, OnlyLargeOnesFailWhereTheSizeDecides) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "sizes"}, {{"HEAPSTER_FAIL", "size>1M"}});
  ASSERT_EQ(ended.exit_code, 0);
  auto known = facts(ended.out);
  EXPECT_EQ(known["malloc_at"], 1);
  EXPECT_EQ(known["malloc_above"], 0);
  EXPECT_EQ(known["calloc_above"], 0);
  EXPECT_EQ(known["realloc_above"], 0);
  EXPECT_EQ(known["small"], 1);
  const auto snapshot = sandbox.snapshot();
  EXPECT_EQ(figure(snapshot, "alloc_fail_count"), 2);
  EXPECT_EQ(figure(snapshot, "realloc_fail_count"), 1);
  EXPECT_EQ(injected_in(snapshot), 3);
  EXPECT_FALSE(has_note(snapshot, "limit_reached"));
}

// Each allocator's operator new fails as standard C++ has it, and is counted as failed.
TEST(Failures, OperatorNewThrows) {
  for (const char* library : {"libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"}) {
    Sandbox sandbox;
    const Variables over = {{"LD_PRELOAD", new_preload_path() + ":" + library}, {"HEAPSTER_FAIL", "size>50000"}};
    const Ended ended = sandbox.run_measured({program_path("capped_new"), "large"}, over);
    EXPECT_EQ(ended.exit_code, 0) << library << ended.out << ended.err << ended.signal;
    const auto snapshot = sandbox.snapshot();
    EXPECT_GE(injected_in(snapshot), 2) << library;
    EXPECT_EQ(figure(snapshot, "alloc_fail_count"), injected_in(snapshot)) << library;
  }
}

TEST(Failures, ABadRuleIsToldAndIgnored) {
  for (const char* rule : {"", "every:0", "every:", "nth:x", "prob:0", "prob:1.5", "prob:0.1,seed:", "size>0", "size>",
                           "every:5 ", "often", "every:99999999999999999999"}) {
    const Attempts run = run_with(rule);
    EXPECT_TRUE(run.failed.empty()) << rule;
    EXPECT_EQ(run.snapshot.process.refused, std::vector<std::string>{std::string("HEAPSTER_FAIL=") + rule});
    EXPECT_TRUE(has_note(run.snapshot, "option_refused"));
    EXPECT_FALSE(has_note(run.snapshot, "failures_injected"));
  }
}

TEST(Failures, AreAskedForOnTheCommandLine) {
  Sandbox sandbox;
  const Variables place = {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}};
  const Ended ended =
      sandbox.run({heapster_path(), "run", "--fail", "nth:50", "--", kCapped, "attempts", "100"}, place);
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_NE(ended.err.find("HEAPSTER_FAIL asked for it"), std::string::npos) << ended.err;
  EXPECT_EQ(sandbox.run({heapster_path(), "run", "--fail", "often", "--", "true"}, place).exit_code, 2);
}

// What a child is to suffer is counted anew in it.
TEST(Failures, AChildHasAttemptsOfItsOwn) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "child"}, {{"HEAPSTER_FAIL", "nth:5"}});
  EXPECT_EQ(ended.exit_code, 0) << ended.out;
  EXPECT_EQ(facts(ended.out)["child"], 4 * (60'000 + 8));
}

}  // namespace
}  // namespace heapster::test
