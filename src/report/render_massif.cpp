// SPDX-License-Identifier: MIT
//
// The timeline as valgrind's massif writes it, for ms_print and massif-visualizer. Massif tells the bytes asked for
// and, as "extra", what the allocator adds; our level is in usable bytes, of which the whole run's share of slack is
// the extra. The peak is put in at its time, between two points if need be.
//
// Where there are stacks, the peak and the end have trees of who holds the memory, in usable bytes like all that is
// known of stacks, so that there is no extra then. Readers insist that a tree is no larger than its level, which was
// counted: estimates beyond it are brought down to it in proportion, and what they lack is a line of its own.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Snapshot;

enum class Kind { kPlain, kPeak, kEnd };

struct Point {
  int64_t milliseconds;
  int64_t bytes;
  Kind kind;
};

Point point_at(double seconds, int64_t bytes, Kind kind) {
  return {whole(std::max(seconds, 0.0) * 1e3), std::max<int64_t>(bytes, 0), kind};
}

// The tree of the peak is of the moment when that was copied, which is told as the level it was; so where there is one,
// the highest level itself is a point without.
std::vector<Point> points_of(const Snapshot& snapshot, bool with_stacks) {
  std::vector<Point> points{{0, 0, Kind::kPlain}};
  const auto time = snapshot.timeline.column("time");
  const auto use = snapshot.timeline.column("use_curr");
  if (time && use)
    for (const auto& point : snapshot.timeline.points)
      points.push_back(point_at(static_cast<double>(point[*time]) / 1e9, point[*use], Kind::kPlain));
  const reader::Use& level = snapshot.stats.use;
  const bool copied = with_stacks && snapshot.at_peak.use_curr > 0;
  if (copied) points.push_back(point_at(snapshot.at_peak.time, snapshot.at_peak.use_curr, Kind::kPeak));
  points.push_back(
      point_at(level.max_time.value_or(0), level.max.value().value_or(0), copied ? Kind::kPlain : Kind::kPeak));
  points.push_back(point_at(snapshot.process.duration, level.curr.value().value_or(0), Kind::kEnd));
  std::stable_sort(points.begin(), points.end(), [](auto& a, auto& b) { return a.milliseconds < b.milliseconds; });
  return points;
}

double slack_share(const reader::Stats& stats) {
  const auto usable = static_cast<double>(stats.usable.bytes().value().value_or(0));
  const auto slack = static_cast<double>((stats.usable.bytes() - stats.alloc.bytes()).value().value_or(0));
  return usable > 0 ? std::clamp(slack / usable, 0.0, 1.0) : 0;
}

// Who holds what at one point: a tree of callers, the innermost functions first.
class Tree {
 public:
  Tree(const Exported& exported, uint64_t Amounts::*value, int64_t level)
      : value_(value), level_(static_cast<uint64_t>(level)) {
    const reader::Stacks& stacks = *exported.snapshot.stacks;
    for (const CallStack& stack : call_stacks(stacks, *exported.names)) {
      std::vector<std::string> path;
      for (size_t i = stack.calls.size(); i-- > 0;) path.push_back(call_text(stacks, stack.calls[i]));
      if (stack.amounts.*value_ > 0) root_.add(path, stack.amounts);
    }
    sum_ = root_.amounts.*value_;
  }

  std::string text() {
    const uint64_t rest = level_ > sum_ ? level_ - sum_ : 0;
    const std::vector<Child> children = large_children(root_);
    put(0, children.size() + has_small(root_, children) + (rest > 0), level_, "(all live blocks)");
    put_children(root_, children, 1);
    if (rest > 0) put(1, 0, rest, "(not in the estimates)");
    return std::move(out_);
  }

 private:
  struct Child {
    const std::string* name;
    const CallTree* tree;
    uint64_t bytes;
  };

  // The product may be too large for 64 bits, and rounding down keeps the parts below the whole.
  uint64_t bytes_of(const CallTree& tree) const {
    const uint64_t bytes = tree.amounts.*value_;
    if (sum_ <= level_) return bytes;
    return static_cast<uint64_t>(static_cast<unsigned __int128>(bytes) * level_ / sum_);
  }

  std::vector<Child> large_children(const CallTree& tree) const {
    std::vector<Child> children;
    for (const auto& [name, child] : tree.children) {
      const uint64_t bytes = bytes_of(*child);
      if (static_cast<double>(bytes) * 100 >= kThreshold * static_cast<double>(level_))
        children.push_back({&name, child.get(), bytes});
    }
    std::stable_sort(children.begin(), children.end(),
                     [](const Child& a, const Child& b) { return a.bytes > b.bytes; });
    return children;
  }

  static uint64_t sum_of(const std::vector<Child>& children) {
    uint64_t sum = 0;
    for (const Child& child : children) sum += child.bytes;
    return sum;
  }

  static bool has_small(const CallTree& tree, const std::vector<Child>& large) {
    return tree.children.size() > large.size();
  }

  void put(size_t depth, size_t children, uint64_t bytes, std::string_view what) {
    fmt::format_to(std::back_inserter(out_), "{:{}}n{}: {} {}\n", "", depth, children, bytes, what);
  }

  void put_children(const CallTree& tree, const std::vector<Child>& children, size_t depth) {
    for (const Child& child : children) {
      const std::vector<Child> below = large_children(*child.tree);
      put(depth, below.size() + has_small(*child.tree, below), child.bytes, *child.name);
      put_children(*child.tree, below, depth + 1);
    }
    if (has_small(tree, children))
      put(depth, 0, bytes_of(tree) - sum_of(children),
          fmt::format("in {} places, all below the threshold ({:.2f}%)", tree.children.size() - children.size(),
                      kThreshold));
  }

  static constexpr double kThreshold = 1;  // percent of the level

  uint64_t Amounts::*value_;
  uint64_t level_;
  uint64_t sum_ = 0;  // of the estimates
  CallTree root_;
  std::string out_;
};

std::string tree_text(const Exported& exported, const Point& point, int64_t asked) {
  if (point.kind == Kind::kPlain) return "heap_tree=empty\n";
  const bool peak = point.kind == Kind::kPeak;
  if (exported.names == nullptr)
    return peak ? fmt::format("heap_tree=peak\nn0: {} (no stacks were recorded)\n", asked) : "heap_tree=empty\n";
  Tree tree(exported, peak ? &Amounts::peak_bytes : &Amounts::live_bytes, asked);
  return fmt::format("heap_tree={}\n{}", peak ? "peak" : "detailed", tree.text());
}

}  // namespace

std::string render_massif(const Exported& exported) {
  const Snapshot& snapshot = exported.snapshot;
  const double share = exported.names == nullptr ? slack_share(snapshot.stats) : 0;
  std::string out =
      fmt::format("desc: heapster, timeline of live bytes; {}\ncmd: {}\ntime_unit: ms\n",
                  exported.names == nullptr ? "extra is the average slack" : "usable bytes, slack among them",
                  command_line(snapshot.process));
  int number = 0;
  for (const Point& point : points_of(snapshot, exported.names != nullptr)) {
    const auto extra = whole(static_cast<double>(point.bytes) * share);
    const int64_t asked = point.bytes - extra;
    fmt::format_to(
        std::back_inserter(out),
        "#-----------\nsnapshot={}\n#-----------\ntime={}\nmem_heap_B={}\nmem_heap_extra_B={}\nmem_stacks_B=0\n{}",
        number++, point.milliseconds, asked, extra, tree_text(exported, point, asked));
  }
  return out;
}

}  // namespace heapster::report
