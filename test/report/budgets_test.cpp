// SPDX-License-Identifier: MIT
//
// Budgets at their edges: equal is kept, one more is broken, unknown is neither.

#include "report/budgets.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "reader/load.h"
#include "synthetic.h"

namespace heapster::report {
namespace {

reader::Snapshot loaded(const test::Segment& segment) { return *reader::load(reader::MemorySource(segment.bytes())); }

reader::Result<std::vector<Broken>> check(const reader::Snapshot& snapshot, const Budgets& budgets) {
  auto judge = Judge::make(budgets);
  if (!judge) return judge.error();
  judge->take_program(snapshot);
  return judge->broken();
}

Budgets limit(std::string_view option, int64_t value) {
  Budgets budgets;
  for (size_t i = 0; i < kBudgets.size(); ++i)
    if (kBudgets[i].option == option) budgets.limits[i] = value;
  EXPECT_TRUE(budgets.any()) << option;
  return budgets;
}

struct Edge {
  const char* option;
  int64_t figure;
};

class BudgetEdge : public testing::TestWithParam<Edge> {};

TEST_P(BudgetEdge, EqualIsKeptAndOneMoreIsBroken) {
  test::Segment segment = test::busy_segment();
  segment.now(0).counters.alloc_fail_count = 2;
  segment.now(1).counters.realloc_fail_count = 3;
  const reader::Snapshot snapshot = loaded(segment);
  const auto [option, figure] = GetParam();
  EXPECT_TRUE(check(snapshot, limit(option, figure))->empty());
  const auto broken = check(snapshot, limit(option, figure - 1));
  ASSERT_EQ(broken->size(), 1u);
  EXPECT_EQ(broken->front().option, option);
  EXPECT_EQ(broken->front().figure, figure);
  EXPECT_EQ(broken->front().budget, figure - 1);
}

INSTANTIATE_TEST_SUITE_P(All, BudgetEdge,
                         testing::Values(Edge{"--max-allocs", 2540}, Edge{"--max-alloc-bytes", 4'136'000},
                                         Edge{"--max-peak", 4'140'320}, Edge{"--max-live", 212'104},
                                         Edge{"--max-realloc-moves", 1}, Edge{"--max-failed", 5}),
                         [](const auto& tested) {
                           std::string name = tested.param.option;
                           std::erase(name, '-');
                           return name;
                         });

TEST(Budgets, NameFigureAndBudget) {
  const auto broken = check(loaded(test::busy_segment()), limit("--max-peak", 1 << 20));
  EXPECT_EQ(broken->front().text,
            "--max-peak: highest live bytes: 3.95 MiB (4,140,320 bytes) exceeds 1.00 MiB (1,048,576 bytes)");
}

TEST(Budgets, AMissingFigureIsNotKept) {
  test::Segment segment = test::busy_segment();
  std::strcpy(segment.field("alloc").name, "other");
  EXPECT_EQ(check(loaded(segment), limit("--max-allocs", 1)).error().text,
            "--max-allocs: the file does not tell allocations");
}

TEST(Budgets, AnUnseenProgramIsNotKept) {
  test::Segment segment;
  segment.header().notes[static_cast<uint32_t>(Note::k_executable_defines_malloc)] = 1;
  EXPECT_FALSE(check(loaded(segment), limit("--max-allocs", 1)));
}

// A child that peaked at 4 MiB and a parent that did nothing.
class Tree : public testing::Test {
 protected:
  std::vector<std::string> broken_by(Budgets budgets, bool each = false) {
    budgets.each = each;
    auto judge = Judge::make(budgets);
    for (const uint32_t pid : {4243, 4244}) {
      test::Segment segment = test::busy_segment();
      segment.header().identity.pid = pid;
      judge->take_other(loaded(segment));
    }
    judge->take_program(loaded(test::Segment()));
    judged_ = judge->judged_text();
    std::vector<std::string> lines;
    const auto all = judge->broken();
    for (const Broken& broken : *all) lines.push_back(broken.text);
    return lines;
  }

  std::string judged_;
};

TEST_F(Tree, EachProcessHasItsOwnPeak) {
  const auto broken = broken_by(limit("--max-peak", 1 << 20));
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_EQ(broken[0],
            "program pid 4243: --max-peak: highest live bytes: 3.95 MiB (4,140,320 bytes) exceeds 1.00 MiB (1,048,576 "
            "bytes)");
  EXPECT_TRUE(broken_by(limit("--max-peak", 4'140'320)).empty());
  EXPECT_EQ(judged_, "program and 2 more processes");
}

TEST_F(Tree, CountsAddUp) {
  EXPECT_TRUE(broken_by(limit("--max-allocs", 2 * 2540)).empty());
  const auto broken = broken_by(limit("--max-allocs", 2 * 2540 - 1));
  ASSERT_EQ(broken.size(), 1u);
  EXPECT_EQ(broken[0], "3 processes together: --max-allocs: allocations: 5,080 exceeds 5,079");
  EXPECT_TRUE(broken_by(limit("--max-allocs", 2540), true).empty()) << "each by itself";
  EXPECT_EQ(broken_by(limit("--max-allocs", 2539), true).size(), 2u);
}

TEST_F(Tree, ABaselineIsTheProgramsAlone) {
  Budgets budgets;
  budgets.baseline = test::write_temporary("baseline.heap", test::Segment().bytes());
  EXPECT_TRUE(broken_by(budgets).empty());
  unlink(budgets.baseline.c_str());
}

class Baseline : public testing::Test {
 protected:
  Baseline() { budgets_.baseline = test::write_temporary("baseline.heap", test::busy_segment().bytes()); }
  ~Baseline() override { unlink(budgets_.baseline.c_str()); }
  size_t broken_by(uint64_t more_allocations) {
    test::Segment segment = test::busy_segment();
    for (uint64_t i = 0; i < more_allocations; ++i) test::count_malloc(segment.now(0), 0, 0);
    return check(loaded(segment), budgets_)->size();
  }

  Budgets budgets_;
};

TEST_F(Baseline, IsKeptByItself) { EXPECT_EQ(broken_by(0), 0u); }
TEST_F(Baseline, IsBrokenByOneMore) { EXPECT_EQ(broken_by(1), 1u); }

TEST_F(Baseline, ToleratesAPercentage) {
  budgets_.tolerance = 5;  // of 2540: 127
  EXPECT_EQ(broken_by(127), 0u);
  EXPECT_EQ(broken_by(128), 1u);
}

TEST_F(Baseline, MustBeReadable) {
  budgets_.baseline += ".absent";
  EXPECT_FALSE(check(loaded(test::busy_segment()), budgets_));
}

}  // namespace
}  // namespace heapster::report
