// SPDX-License-Identifier: MIT
//
// THE list of commands. Dispatch, `heapster --help` and the hint for a mistyped name all come
// from it. To add one: a row here, its cmd_x.cpp, one line in CMakeLists.txt.

#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "reader/result.h"

namespace heapster::tool {

// What follows the command's name.
using Arguments = std::vector<std::string>;

// The exit code (kFine, kNo), or one line of why there is none (exit code 2).
using Outcome = reader::Result<int>;
inline constexpr int kFine = 0;
inline constexpr int kNo = 1;
inline constexpr int kFault = 2;

Outcome cmd_show(const Arguments& arguments);
Outcome cmd_stacks(const Arguments& arguments);
Outcome cmd_list(const Arguments& arguments);
Outcome cmd_clean(const Arguments& arguments);
Outcome cmd_dump(const Arguments& arguments);
Outcome cmd_diff(const Arguments& arguments);
Outcome cmd_check(const Arguments& arguments);
Outcome cmd_export(const Arguments& arguments);
Outcome cmd_explain(const Arguments& arguments);
Outcome cmd_run(const Arguments& arguments);

struct Command {
  std::string_view name;
  std::string_view help;
  Outcome (*run)(const Arguments& arguments);
};

inline constexpr std::array kCommands{
    Command{"show", "the report on a process or a snapshot", cmd_show},
    Command{"stacks", "who holds the memory: sampled stacks by what was allocated there", cmd_stacks},
    Command{"list", "the processes that have a segment, live and dead", cmd_list},
    Command{"clean", "what dead processes left in the run directory, and its removal", cmd_clean},
    Command{"dump", "a snapshot of a live process, without touching it", cmd_dump},
    Command{"diff", "what changed between two snapshots", cmd_diff},
    Command{"check", "check a snapshot against budgets", cmd_check},
    Command{"export", "a snapshot in another format", cmd_export},
    Command{"run", "a program under heapster, and its report (heapster-run)", cmd_run},
    Command{"explain", "what a figure, a variable or a note means", cmd_explain},
};

}  // namespace heapster::tool
