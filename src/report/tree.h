// SPDX-License-Identifier: MIT
//
// Stacks laid over each other: a function's value is the sum over all stacks that lead through it on the same way.

#pragma once

#include <vector>

#include "report/sites.h"

namespace heapster::report {

struct Node {
  Step step;
  double value = 0;
  std::vector<Node> children;  // the largest first
};

enum class Direction {
  kCallers,  // from the outermost function inwards: which part of the program
  kCallees,  // from the allocating function outwards: who asks for it
};

// The root stands for the whole, and has no function.
Node make_tree(const Sites& sites, By by, Direction direction);

}  // namespace heapster::report
