// SPDX-License-Identifier: MIT
//
// A stack that was cut off, or not taken, hangs below the root where its known part begins.

#include "report/tree.h"

#include <algorithm>

namespace heapster::report {

namespace {

Node& child_of(Node& node, const Step& step) {
  const auto found =
      std::find_if(node.children.begin(), node.children.end(), [&](const Node& child) { return child.step == step; });
  return found != node.children.end() ? *found : node.children.emplace_back(Node{step, 0, {}});
}

void sort(Node& node) {
  std::stable_sort(node.children.begin(), node.children.end(),
                   [](const Node& a, const Node& b) { return a.value > b.value; });
  for (Node& child : node.children) sort(child);
}

}  // namespace

Node make_tree(const Sites& sites, By by, Direction direction) {
  Node root;
  for (const Site& site : sites.sites) {
    const double value = rank(estimate(site, by, sites.mean_bytes), by);
    if (!(value > 0)) continue;
    std::vector<Step> way = site.steps;
    if (way.empty()) way.push_back({.function = "(no stack)", .known = false});
    if (direction == Direction::kCallers) std::reverse(way.begin(), way.end());
    Node* node = &root;
    node->value += value;
    for (const Step& step : way) {
      node = &child_of(*node, step);
      node->value += value;
    }
  }
  sort(root);
  return root;
}

}  // namespace heapster::report
