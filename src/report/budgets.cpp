// SPDX-License-Identifier: MIT
//
// Judging a tree of snapshots. A budget that cannot be judged must not pass: a test that stays green
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

int64_t sum_of(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

}  // namespace

bool Budgets::any() const {
  const auto set = [](const std::optional<int64_t>& limit) { return limit.has_value(); };
  return !baseline.empty() || std::any_of(limits.begin(), limits.end(), set);
}

Result<Judge> Judge::make(const Budgets& budgets) {
  Judge judge(budgets);
  if (auto error = judge.read_baseline()) return *error;
  return judge;
}

std::optional<Error> Judge::read_baseline() {
  if (budgets_.baseline.empty()) return std::nullopt;
  const Result<reader::Snapshot> baseline = reader::load(budgets_.baseline);
  if (!baseline) return baseline.error();
  const std::vector<Figure> rows = figures(baseline->stats);
  for (size_t i = 0; i < kBudgets.size(); ++i) {
    if (!kBudgets[i].in_baseline) continue;
    const auto base = figure_of(kBudgets[i], rows);
    if (!base) return Error{fmt::format("{}: does not tell {}", budgets_.baseline, kBudgets[i].help)};
    const double limit = static_cast<double>(*base) * (1 + budgets_.tolerance / 100);
    baseline_[i] = budgets_.tolerance == 0 ? *base : whole(std::floor(limit));
  }
  return std::nullopt;
}

void Judge::take_program(const reader::Snapshot& snapshot) {
  program_ = printable(reader::short_name(snapshot.process));
  take(snapshot, "", baseline_);
}

void Judge::take_other(const reader::Snapshot& snapshot) {
  const reader::Process& process = snapshot.process;
  take(snapshot, fmt::format("{} pid {}: ", printable(reader::short_name(process)), reader::pid_of(process)), {});
}

void Judge::take(const reader::Snapshot& snapshot, const std::string& who, const Limits& baseline) {
  processes_.emplace(snapshot.process.identity.pid, snapshot.process.identity.start_ticks);
  if (unanswered_) return;
  const reader::Coverage coverage = reader::coverage(snapshot);
  if (coverage.verdict == "none") {
    const std::string reason = coverage.reasons.empty() ? "" : coverage.reasons.front();
    unanswered_ = Error{who + "budgets cannot be judged: " + reason};
    return;
  }
  const std::vector<Figure> rows = figures(snapshot.stats);
  for (size_t i = 0; i < kBudgets.size(); ++i) {
    const BudgetInfo& info = kBudgets[i];
    if (!budgets_.limits[i] && !baseline[i]) continue;
    const auto figure = figure_of(info, rows);
    if (!figure) {
      unanswered_ = Error{fmt::format("{}{}: the file does not tell {}", who, info.option, info.help)};
      return;
    }
    const bool summed = info.adds_up && !budgets_.each;
    if (budgets_.limits[i] && summed) sums_[i] = sum_of(sums_[i].value_or(0), *figure);
    if (budgets_.limits[i] && !summed) hold(i, *figure, *budgets_.limits[i], who, "");
    if (baseline[i]) hold(i, *figure, *baseline[i], who, baseline_text());
  }
}

void Judge::hold(size_t index, int64_t figure, int64_t budget, const std::string& who, const std::string& source) {
  const BudgetInfo& info = kBudgets[index];
  if (figure <= budget) return;
  broken_.push_back({info.option, figure, budget,
                     fmt::format("{}{}: {}: {} exceeds {}{}", who, info.option, info.help, amount(figure, info.unit),
                                 amount(budget, info.unit), source)});
}

std::string Judge::baseline_text() const {
  return fmt::format(", the baseline{}", budgets_.tolerance > 0 ? fmt::format(" + {} %", budgets_.tolerance) : "");
}

Result<std::vector<Broken>> Judge::broken() const {
  if (unanswered_) return *unanswered_;
  Judge whole = *this;
  const std::string who = processes() == 1 ? "" : fmt::format("{} processes together: ", count_text(processes()));
  for (size_t i = 0; i < kBudgets.size(); ++i)
    if (sums_[i] && budgets_.limits[i]) whole.hold(i, *sums_[i], *budgets_.limits[i], who, "");
  std::stable_sort(whole.broken_.begin(), whole.broken_.end(), [](const Broken& a, const Broken& b) {
    const auto place = [](const Broken& broken) {
      return std::find_if(kBudgets.begin(), kBudgets.end(), [&](const auto& i) { return i.option == broken.option; });
    };
    return place(a) < place(b);
  });
  return std::move(whole.broken_);
}

std::string Judge::judged_text() const {
  const int64_t more = processes() - 1;
  if (more <= 0) return program_;
  return fmt::format("{} and {} more process{}", program_, count_text(more), more == 1 ? "" : "es");
}

}  // namespace heapster::report
