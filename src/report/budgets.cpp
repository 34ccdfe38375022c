// SPDX-License-Identifier: MIT
//
// Judging a snapshot. A budget that cannot be judged must not pass: a test that stays green
// because nothing was measured is worse than none.

#include "report/budgets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reader/load.h"
#include "report/figures.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Error;
using reader::Result;

std::optional<int64_t> figure_of(const BudgetInfo& info, const std::vector<Figure>& rows) {
  int64_t sum = 0;
  for (const std::string_view name : info.figures) {
    if (name.empty()) continue;
    const Value value = figure_value(rows, name);
    const auto* number = std::get_if<int64_t>(&value);
    if (!number) return std::nullopt;
    sum = static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(*number));
  }
  return sum;
}

std::string amount(int64_t value, std::string_view unit) {
  if (unit != "bytes" || (value < 1024 && value > -1024)) return value_text(value, unit);
  return fmt::format("{} ({} bytes)", bytes_text(value), count_text(value));
}

class Judge {
 public:
  explicit Judge(const reader::Snapshot& snapshot) : rows_(figures(snapshot.stats)) {}

  // Nothing where all is known; else what cannot be judged.
  std::optional<Error> hold(const BudgetInfo& info, int64_t budget, const std::string& source) {
    const auto figure = figure_of(info, rows_);
    if (!figure) return Error{fmt::format("{}: the file does not tell {}", info.option, info.help)};
    if (*figure > budget)
      broken_.push_back({info.option, *figure, budget,
                         fmt::format("{}: {}: {} exceeds {}{}", info.option, info.help, amount(*figure, info.unit),
                                     amount(budget, info.unit), source)});
    return std::nullopt;
  }

  std::vector<Broken> broken() { return std::move(broken_); }

 private:
  std::vector<Figure> rows_;
  std::vector<Broken> broken_;
};

std::optional<Error> hold_limits(Judge& judge, const Budgets& budgets) {
  for (size_t i = 0; i < kBudgets.size(); ++i)
    if (budgets.limits[i])
      if (auto error = judge.hold(kBudgets[i], *budgets.limits[i], "")) return error;
  return std::nullopt;
}

std::optional<Error> hold_baseline(Judge& judge, const Budgets& budgets) {
  const Result<reader::Snapshot> baseline = reader::load(budgets.baseline);
  if (!baseline) return baseline.error();
  const std::vector<Figure> rows = figures(baseline->stats);
  const std::string source =
      fmt::format(", the baseline{}", budgets.tolerance > 0 ? fmt::format(" + {} %", budgets.tolerance) : "");
  for (const BudgetInfo& info : kBudgets) {
    if (!info.in_baseline) continue;
    const auto base = figure_of(info, rows);
    if (!base) return Error{fmt::format("{}: does not tell {}", budgets.baseline, info.help)};
    const double limit = static_cast<double>(*base) * (1 + budgets.tolerance / 100);
    const int64_t budget = budgets.tolerance == 0 ? *base : whole(std::floor(limit));
    if (auto error = judge.hold(info, budget, source)) return error;
  }
  return std::nullopt;
}

}  // namespace

bool Budgets::any() const {
  const auto set = [](const std::optional<int64_t>& limit) { return limit.has_value(); };
  return !baseline.empty() || std::any_of(limits.begin(), limits.end(), set);
}

Result<std::vector<Broken>> check(const reader::Snapshot& snapshot, const Budgets& budgets) {
  const reader::Coverage coverage = reader::coverage(snapshot);
  if (coverage.verdict == "none")
    return Error{"budgets cannot be judged: " + (coverage.reasons.empty() ? "" : coverage.reasons.front())};
  Judge judge(snapshot);
  if (auto error = hold_limits(judge, budgets)) return *error;
  if (!budgets.baseline.empty())
    if (auto error = hold_baseline(judge, budgets)) return *error;
  return judge.broken();
}

}  // namespace heapster::report
