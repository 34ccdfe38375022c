// SPDX-License-Identifier: MIT
//
// What `heapster stacks` tells, for people and as JSON (schema "heapster-stacks/1").

#pragma once

#include <optional>
#include <string>

#include "reader/snapshot.h"
#include "report/json.h"
#include "report/report.h"
#include "report/sites.h"
#include "report/tree.h"

namespace heapster::report {

// One question, and the sites that answer it.
struct StacksAnswer {
  By by = By::kLive;
  Sites sites = {};                     // in order
  Estimate total = {};                  // of all sites, selected or not
  Estimate net = {};                    // of growth: with what has shrunk
  std::optional<int64_t> counted = {};  // what the estimates of all sites would come to, were they exact
  std::string near_peak = {};           // of the live blocks near the peak: when that was
  size_t limit = 20;                    // how many are told
  size_t depth = 12;                    // functions of each that a person is shown
  bool leaks = false;                   // the question is what stays live
  bool incomplete = false;              // tables were full
  uint64_t suppressed = 0;              // sites that were left out on purpose,
  double suppressed_bytes = 0;
};

// All sites together that have some of what is asked for; the error is that of their sum.
Estimate total_of(const Sites& sites, By by);
// The same with those that have shrunk.
Estimate net_of(const Sites& sites, By by);

// What the program did or held in all, by what sites are ordered by: that is counted, not estimated. Of growth it is
// what is live.
std::optional<int64_t> counted(const reader::Snapshot& snapshot, By by);

// The functions of one stack, a line each, from the one on that a person would go and look at.
std::vector<std::string> way_to(std::vector<Step> steps, size_t depth);

Section sites_section(const StacksAnswer& answer);
Section tree_section(const StacksAnswer& answer, Direction direction);
Json sites_json(const StacksAnswer& answer);
Json tree_json(const Node& node);

// The figures of the sampling itself, and sums over all stacks; null where the file has none.
Json sampling_json(const reader::Snapshot& snapshot);

// A figure's help, without the unit that it has in the file alone.
std::string help_of(const reader::StackFigureInfo& figure);

}  // namespace heapster::report
