// SPDX-License-Identifier: MIT
//
// A stack that was cut off, or not taken, hangs below the root where its known part begins.

#include "report/tree.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

namespace heapster::report {

namespace {

// A node while the tree grows: children stay where they are, and those of a large family are found by their hash.
class Branch {
 public:
  explicit Branch(Step step) : step_(std::move(step)) {}

  Branch& child(const Step& step) {
    constexpr size_t kFew = 16;
    const auto is_it = [&](const Branch* child) { return child->step_ == step; };
    if (!by_hash_) {
      for (const auto& child : children_)
        if (is_it(child.get())) return *child;
      if (children_.size() >= kFew) {
        by_hash_ = std::make_unique<ByHash>();
        for (const auto& child : children_) by_hash_->emplace(hash_of(child->step_), child.get());
      }
    } else {
      const auto [begin, end] = by_hash_->equal_range(hash_of(step));
      const auto found = std::find_if(begin, end, [&](const auto& each) { return is_it(each.second); });
      if (found != end) return *found->second;
    }
    Branch& fresh = *children_.emplace_back(std::make_unique<Branch>(step));
    if (by_hash_) by_hash_->emplace(hash_of(step), &fresh);
    return fresh;
  }

  void add(double value) { value_ += value; }

  // The largest first. Nothing is left of the branch.
  Node harvest() {
    by_hash_.reset();
    std::stable_sort(children_.begin(), children_.end(),
                     [](const auto& a, const auto& b) { return a->value_ > b->value_; });
    Node node{std::move(step_), value_, {}};
    node.children.reserve(children_.size());
    for (auto& child : children_) {
      node.children.push_back(child->harvest());
      child.reset();
    }
    return node;
  }

 private:
  using ByHash = std::unordered_multimap<size_t, Branch*>;

  Step step_;
  double value_ = 0;
  std::vector<std::unique_ptr<Branch>> children_;
  std::unique_ptr<ByHash> by_hash_;
};

}  // namespace

Node make_tree(const Sites& sites, By by, Direction direction) {
  Branch root{Step{}};
  for (const Site& site : sites.sites) {
    const double value = rank(estimate(site, by, sites.mean_bytes), by);
    if (!(value > 0)) continue;
    std::vector<Step> way = site.steps;
    if (way.empty()) way.push_back({.function = "(no stack)", .known = false});
    if (direction == Direction::kCallers) std::reverse(way.begin(), way.end());
    Branch* branch = &root;
    branch->add(value);
    for (const Step& step : way) {
      branch = &branch->child(step);
      branch->add(value);
    }
  }
  return root.harvest();
}

}  // namespace heapster::report
