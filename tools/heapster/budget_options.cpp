// SPDX-License-Identifier: MIT
//
// Text → limits. CLI11 would take numbers itself, but not 1e6, 1_000_000 or 64M.

#include "budget_options.h"

#include <CLI/Error.hpp>

#include "report/units.h"

namespace heapster::tool {

namespace {

void set_limit(report::Budgets& budgets, size_t index, const std::string& text) {
  const report::BudgetInfo& info = report::kBudgets[index];
  const bool bytes = info.unit == "bytes";
  const auto limit = bytes ? report::parse_size(text) : report::parse_count(text);
  if (!limit)
    throw CLI::ValidationError(
        std::string(info.option),
        bytes ? report::invalid_size_text(text) : "invalid number '" + text + "': expected e.g. 1000, 1e6");
  budgets.limits[index] = *limit;
}

void set_tolerance(report::Budgets& budgets, std::string text) {
  if (text.ends_with('%')) text.pop_back();
  double percent = -1;
  if (!CLI::detail::lexical_cast(text, percent) || !(percent >= 0 && percent <= 1e6))
    throw CLI::ValidationError("--tolerance", "'" + text + "' is not a percentage: expected e.g. 5%");
  budgets.tolerance = percent;
}

}  // namespace

void add_budget_options(CLI::App& application, report::Budgets& budgets) {
  for (size_t i = 0; i < report::kBudgets.size(); ++i) {
    const report::BudgetInfo& info = report::kBudgets[i];
    application
        .add_option_function<std::string>(
            std::string(info.option), [&budgets, i](const std::string& text) { set_limit(budgets, i, text); },
            "limit on " + std::string(info.help))
        ->type_name(info.unit == "bytes" ? "SIZE" : "N")
        ->group("Budgets");
  }
  application
      .add_flag("--each", budgets.each,
                "hold each process to the budgets by itself; else counts and sums are those of all together")
      ->group("Budgets");
  application.add_option("--baseline", budgets.baseline, "a snapshot that the program itself must not exceed")
      ->type_name("FILE")
      ->group("Budgets");
  application
      .add_option_function<std::string>(
          "--tolerance", [&budgets](const std::string& text) { set_tolerance(budgets, text); },
          "how far the baseline may be exceeded (default: 0%)")
      ->type_name("P%")
      ->group("Budgets");
}

}  // namespace heapster::tool
