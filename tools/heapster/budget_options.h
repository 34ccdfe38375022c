// SPDX-License-Identifier: MIT
//
// The budgets as options of a command line, for `check` and `run` alike.

#pragma once

#include <CLI/App.hpp>

#include "report/budgets.h"

namespace heapster::tool {

// One option for each row of kBudgets, --each, and --baseline with --tolerance. `budgets` must outlive
// the parsing.
void add_budget_options(CLI::App& application, report::Budgets& budgets);

}  // namespace heapster::tool
