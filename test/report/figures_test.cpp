// SPDX-License-Identifier: MIT
//
// The table's expansion: names that users rely on, values by hand, unknowns as nothing.

#include "report/figures.h"

#include <gtest/gtest.h>

#include <set>

#include "reader/load.h"
#include "synthetic.h"

namespace heapster::report {
namespace {

reader::Snapshot busy() { return *reader::load(reader::MemorySource(test::busy_segment().bytes())); }

Value busy_value(std::string_view name) { return figure_value(figures(busy().stats), name); }

TEST(Figures, EveryFixedNameIsThere) {
  std::set<std::string_view> names;
  const auto rows = figures({});
  for (const Figure& row : rows) EXPECT_TRUE(names.insert(row.name).second) << row.name << " comes twice";
  for (const char* name : {"alloc_count",
                           "alloc_sum",
                           "alloc_avg",
                           "alloc_fail_count",
                           "alloc_invalid_count",
                           "dealloc_count",
                           "dealloc_sum",
                           "dealloc_avg",
                           "free_null_count",
                           "realloc_count",
                           "realloc_request_sum",
                           "realloc_growth_count",
                           "realloc_growth_sum",
                           "realloc_growth_avg",
                           "realloc_shrink_count",
                           "realloc_shrink_sum",
                           "realloc_shrink_avg",
                           "realloc_same_count",
                           "realloc_in_place_count",
                           "realloc_move_count",
                           "realloc_move_sum",
                           "realloc_move_avg",
                           "realloc_remap_count",
                           "realloc_remap_sum",
                           "realloc_copy_count",
                           "realloc_copy_sum",
                           "realloc_growth_moved_count",
                           "realloc_shrink_moved_count",
                           "realloc_fail_count",
                           "use_curr",
                           "use_max",
                           "use_max_error",
                           "use_max_time",
                           "live_count",
                           "usable_sum",
                           "slack",
                           "temporary_count"})
    EXPECT_TRUE(names.count(name)) << name;
}

TEST(Figures, AreWhatWasCounted) {
  EXPECT_EQ(busy_value("alloc_count"), Value(int64_t{2540}));
  EXPECT_EQ(busy_value("alloc_sum"), Value(int64_t{1500 * 24 + 1000 * 100 + 40 * 100'000}));
  EXPECT_EQ(busy_value("realloc_count"), Value(int64_t{4}));
  EXPECT_EQ(busy_value("realloc_in_place_count"), Value(int64_t{3}));
  EXPECT_EQ(busy_value("slack"), Value(int64_t{1000 * 4 + 40 * 8}));
  EXPECT_EQ(busy_value("live_count"), Value(int64_t{1301}));
  EXPECT_EQ(busy_value("use_curr"), Value(int64_t{300 * 24 + 999 * 104 + 1000 + 100'008}));
  EXPECT_EQ(busy_value("use_max_time"), Value(0.5));
}

// A sum that only grows has no sign: one beyond 2^63 is large, and not less than nothing.
TEST(Figures, SumsBeyondTheSignAreLarge) {
  reader::Stats stats = busy().stats;
  stats.alloc.cells[60] = {1, uint64_t{1} << 63};
  const auto rows = figures(stats);
  EXPECT_GE(std::get<double>(figure_value(rows, "alloc_sum")), 0x1p63);
  EXPECT_GT(std::get<double>(figure_value(rows, "alloc_avg")), 0);
  EXPECT_EQ(value_text(figure_value(rows, "alloc_sum"), "bytes"), "8.00 EiB");
  EXPECT_GT(std::get<double>(difference(figure_value(rows, "alloc_sum"), busy_value("alloc_sum"))), 0x1p62);
}

TEST(Figures, LevelAndLiveTableAgreeAtRest) {
  EXPECT_EQ(busy_value("use_curr"), Value(*busy().stats.live().bytes().value()));
}

TEST(Figures, AnAverageOfNothingIsNothing) {
  EXPECT_EQ(busy_value("realloc_shrink_avg"), Value());
  EXPECT_EQ(busy_value("realloc_growth_avg"), Value(896.0));
}

TEST(Figures, WhatAFileLacksIsNothing) {
  for (const Figure& row : figures({})) EXPECT_EQ(row.value, Value()) << row.name;
}

TEST(Histograms, HiddenOnesAreNotShown) {
  std::set<std::string_view> names;
  for (const HistogramFigure& row : histograms({})) names.insert(row.name);
  EXPECT_EQ(names, (std::set<std::string_view>{"alloc", "dealloc", "realloc_growth", "realloc_shrink", "realloc_move",
                                               "live"}));
}

TEST(Difference, NeedsTwoOfAKind) {
  EXPECT_EQ(difference(Value(int64_t{5}), Value(int64_t{7})), Value(int64_t{-2}));
  EXPECT_EQ(difference(Value(1.5), Value(1.0)), Value(0.5));
  EXPECT_EQ(difference(Value(), Value(int64_t{7})), Value());
}

}  // namespace
}  // namespace heapster::report
