// SPDX-License-Identifier: MIT
//
// THE list of budgets: `check` and `heapster run` take as options,
// judge by, and print. A budget is a limit on one figure, or on several of a kind together.
//
// What is judged is a tree of processes. Levels (the peak, what lives at the end) are each process's own; what was
// counted adds up over the tree.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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
  bool adds_up;                             // over the processes of a tree
};

inline constexpr std::array kBudgets{
    BudgetInfo{"--max-allocs", "calls", "allocations", {"alloc_count"}, true, true},
    BudgetInfo{"--max-alloc-bytes", "bytes", "requested bytes of all allocations", {"alloc_sum"}, true, true},
    BudgetInfo{"--max-peak", "bytes", "highest live bytes", {"use_max"}, true, false},
    BudgetInfo{"--max-live", "bytes", "live bytes at the end", {"use_curr"}, true, false},
    BudgetInfo{
        "--max-realloc-moves", "calls", "reallocations that moved the block", {"realloc_move_count"}, true, true},
    BudgetInfo{"--max-failed",
               "calls",
               "failed allocations and reallocations",
               {"alloc_fail_count", "realloc_fail_count"},
               false,
               true},
};

struct Budgets {
  std::array<std::optional<int64_t>, kBudgets.size()> limits;  // in the order of kBudgets
  std::string baseline;                                        // a snapshot's path, or empty
  double tolerance = 0;                                        // percent, on the baseline
  bool each = false;                                           // each process by itself, and no sum over the tree

  bool any() const;
};

struct Broken {
  std::string_view option;
  int64_t figure;
  int64_t budget;
  std::string text;  // one line: what, figure, budget
};

// Judges the processes of a tree, one after the other.
class Judge {
 public:
  // Reads the baseline; an error where that cannot be done, or tells too little.
  static reader::Result<Judge> make(const Budgets& budgets);

  // The program itself, which alone the baseline is of; and what it started, or was before an exec.
  void take_program(const reader::Snapshot& snapshot);
  void take_other(const reader::Snapshot& snapshot);

  // The budgets that are broken. An error where the question cannot be answered: a figure that a file lacks, a program
  // of which nothing was seen.
  reader::Result<std::vector<Broken>> broken() const;

  bool any() const { return budgets_.any(); }
  int64_t processes() const { return static_cast<int64_t>(processes_.size()); }
  // "perl", "bash and 2 more processes".
  std::string judged_text() const;

 private:
  using Limits = std::array<std::optional<int64_t>, kBudgets.size()>;

  explicit Judge(const Budgets& budgets) : budgets_(budgets) {}
  std::optional<reader::Error> read_baseline();
  void take(const reader::Snapshot& snapshot, const std::string& who, const Limits& baseline);
  void hold(size_t index, int64_t figure, int64_t budget, const std::string& who, const std::string& source);
  std::string baseline_text() const;

  Budgets budgets_;
  Limits baseline_;
  Limits sums_;
  std::vector<Broken> broken_;
  std::optional<reader::Error> unanswered_;
  std::string program_;
  std::set<std::pair<uint32_t, uint64_t>> processes_;  // by number and start: an exec makes no other of it
};

}  // namespace heapster::report
