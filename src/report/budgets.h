// SPDX-License-Identifier: MIT
//
// THE list of budgets: `check` and `heapster run` take as options,
// judge by, and print. A budget is a limit on one figure, or on several of a kind together.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reader/result.h"
#include "reader/snapshot.h"

namespace heapster::report {

struct BudgetInfo {
  std::string_view option;
  std::string_view unit;  // of the limit: calls or bytes
  std::string_view help;
  std::array<std::string_view, 2> figures;  // added up; the second may be empty
  bool in_baseline;                         // compared with --baseline
};

inline constexpr std::array kBudgets{
    BudgetInfo{"--max-allocs", "calls", "allocations", {"alloc_count"}, true},
    BudgetInfo{"--max-alloc-bytes", "bytes", "requested bytes of all allocations", {"alloc_sum"}, true},
    BudgetInfo{"--max-peak", "bytes", "highest live bytes", {"use_max"}, true},
    BudgetInfo{"--max-live", "bytes", "live bytes at the end", {"use_curr"}, true},
    BudgetInfo{"--max-realloc-moves", "calls", "reallocations that moved the block", {"realloc_move_count"}, true},
    BudgetInfo{"--max-failed",
               "calls",
               "failed allocations and reallocations",
               {"alloc_fail_count", "realloc_fail_count"},
               false},
};

struct Budgets {
  std::array<std::optional<int64_t>, kBudgets.size()> limits;  // in the order of kBudgets
  std::string baseline;                                        // a snapshot's path, or empty
  double tolerance = 0;                                        // percent, on the baseline

  bool any() const;
};

struct Broken {
  std::string_view option;
  int64_t figure;
  int64_t budget;
  std::string text;  // one line: what, figure, budget
};

// The budgets that the snapshot breaks. An error where the question cannot be answered: a baseline
// that cannot be read, a figure that the file lacks, a program of which nothing was seen.
reader::Result<std::vector<Broken>> check(const reader::Snapshot& snapshot, const Budgets& budgets);

}  // namespace heapster::report
