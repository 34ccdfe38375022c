// SPDX-License-Identifier: MIT
//
// heapster check: budgets for unmodified programs, made for scripts and CI. Exit code 0 kept,
// 1 broken, 2 no judgement possible.

#include <fmt/format.h>

#include "budget_options.h"
#include "terminal.h"

namespace heapster::tool {

Outcome cmd_check(const Arguments& arguments) {
  CLI::App application("Checks a snapshot against budgets: exit code 0 kept, 1 broken, 2 unreadable.",
                       "heapster check");
  std::string target;
  report::Budgets budgets;
  application.add_option("FILE|PID", target, "the snapshot")->required();
  add_budget_options(application, budgets);
  if (auto over = parse(application, arguments)) return *over;
  if (!budgets.any()) return reader::Error{"no budget to check (heapster check --help lists them)"};

  const auto snapshot = load_argument(target);
  if (!snapshot) return snapshot.error();
  for (const std::string& reason : reader::coverage(*snapshot).reasons) fmt::print(stderr, "heapster: {}\n", reason);
  const auto broken = report::check(*snapshot, budgets);
  if (!broken) return broken.error();
  if (broken->empty()) return print("all budgets kept\n");
  std::string text;
  for (const report::Broken& budget : *broken) text += budget.text + "\n";
  const Outcome printed = print(text);
  return printed ? Outcome(kNo) : printed;
}

}  // namespace heapster::tool
