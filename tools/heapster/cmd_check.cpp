// SPDX-License-Identifier: MIT
//
// heapster check: budgets for unmodified programs, made for scripts and CI. Exit code 0 kept,
// 1 broken, 2 no judgement possible.

#include <fmt/format.h>

#include "budget_options.h"
#include "process_tree.h"
#include "terminal.h"

namespace heapster::tool {

Outcome cmd_check(const Arguments& arguments) {
  CLI::App application(
      "Checks a process, and those that it started under heapster-run, against budgets:\n"
      "exit code 0 kept, 1 broken, 2 unreadable.",
      "heapster check");
  std::string target;
  report::Budgets budgets;
  application.add_option("FILE|PID", target, "the snapshot")->required();
  add_budget_options(application, budgets);
  if (auto over = parse(application, arguments)) return *over;
  if (!budgets.any()) return reader::Error{"no budget to check (heapster check --help lists them)"};

  auto judge = report::Judge::make(budgets);
  if (!judge) return judge.error();
  const auto found = find_argument(target);
  if (!found) return found.error();
  const auto& [path, snapshot] = *found;
  judge->take_program(snapshot);
  if (!path.empty()) {
    const auto others = each_descendant(path, snapshot.process, [&](const auto& other) { judge->take_other(other); });
    if (!others) return others.error();
  }
  for (const std::string& reason : reader::coverage(snapshot).reasons) fmt::print(stderr, "heapster: {}\n", reason);
  const auto broken = judge->broken();
  if (!broken) return broken.error();
  if (broken->empty()) return print(fmt::format("all budgets kept by {}\n", judge->judged_text()));
  std::string text;
  for (const report::Broken& budget : *broken) text += budget.text + "\n";
  if (judge->processes() > 1) text += "judged: " + judge->judged_text() + "\n";
  const Outcome printed = print(text);
  return printed ? Outcome(kNo) : printed;
}

}  // namespace heapster::tool
