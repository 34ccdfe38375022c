// SPDX-License-Identifier: MIT
//
// DHAT's file as its viewer wants it, with microseconds in the place of instructions. DHAT knows for each program point
// the most that it ever held; here it is the larger of what it held at the peak and at the end. Lifetimes are kept in
// classes, so their sum takes the middle of each.

#include <algorithm>
#include <cmath>
#include <map>

#include "report/formats.h"
#include "report/json.h"
#include "report/units.h"

namespace heapster::report {

namespace {

constexpr double kMicroseconds = 1e6;
constexpr int kShortLife = 1000;  // what the viewer calls short-lived, in microseconds

struct Point {
  Amounts amounts;
  double lifetimes = 0;  // microseconds, of all blocks
};

// Of what was freed, in microseconds. Class k is shorter than 4^k.
double freed_lifetimes(const reader::StackFigures& figures, double longest) {
  double sum = 0, samples = 0;
  for (size_t k = 0; k < figures.lifetimes.size(); ++k) {
    const auto freed = static_cast<double>(figures.lifetimes[k]);
    sum += freed * std::min(std::ldexp(0.5, static_cast<int>(2 * k)), longest);
    samples += freed;
  }
  const double blocks = static_cast<double>(figures.freed_count) / static_cast<double>(kWholeBlock);
  return samples > 0 ? sum / samples * blocks : 0;
}

// Of what is live, by stack; the last is for blocks without.
std::vector<double> live_lifetimes(const reader::Snapshot& snapshot) {
  const reader::Stacks& stacks = *snapshot.stacks;
  std::vector<double> result(stacks.stacks.size() + 1);
  for (const reader::Sample& sample : stacks.samples) {
    const double age = std::max(snapshot.process.duration - sample.time, 0.0) * kMicroseconds;
    result[sample.stack.value_or(static_cast<uint32_t>(stacks.stacks.size()))] +=
        age * static_cast<double>(sample.weight_count) / static_cast<double>(kWholeBlock);
  }
  return result;
}

class Frames {
 public:
  size_t number(const std::string& text) {
    const auto [place, fresh] = numbers_.try_emplace(text, list.size());
    if (fresh) list.push_back(text);
    return place->second;
  }

  Json list = Json::array({"[root]"});

 private:
  std::map<std::string, size_t> numbers_;
};

// The viewer refuses a stack that is there twice; such are those of one address whose module came again.
using Points = std::map<std::vector<size_t>, Point>;

Points points_of(const Exported& exported, Frames& frames) {
  const reader::Stacks& stacks = *exported.snapshot.stacks;
  const std::vector<double> live = live_lifetimes(exported.snapshot);
  Points points;
  for (const CallStack& stack : call_stacks(stacks, *exported.names)) {
    std::vector<size_t> numbers;
    for (size_t i = stack.calls.size(); i-- > 0;) numbers.push_back(frames.number(call_text(stacks, stack.calls[i])));
    Point& point = points[numbers];
    point.amounts += stack.amounts;
    const size_t place = stack.stack ? static_cast<size_t>(stack.stack - stacks.stacks.data()) : stacks.stacks.size();
    point.lifetimes += live[place];
    if (stack.stack)
      point.lifetimes += freed_lifetimes(stack.stack->figures, exported.snapshot.process.duration * kMicroseconds);
  }
  return points;
}

Json point_json(const std::vector<size_t>& numbers, const Point& point) {
  const Amounts& amounts = point.amounts;
  return {{"tb", amounts.alloc_bytes},
          {"tbk", amounts.alloc_blocks},
          {"tl", whole(point.lifetimes)},
          {"mb", std::max(amounts.peak_bytes, amounts.live_bytes)},
          {"mbk", std::max(amounts.peak_blocks, amounts.live_blocks)},
          {"gb", amounts.peak_bytes},
          {"gbk", amounts.peak_blocks},
          {"eb", amounts.live_bytes},
          {"ebk", amounts.live_blocks},
          {"fs", numbers}};
}

}  // namespace

std::string render_dhat(const Exported& exported) {
  const reader::Snapshot& snapshot = exported.snapshot;
  Frames frames;
  Json points = Json::array();
  for (const auto& [numbers, point] : points_of(exported, frames)) points.push_back(point_json(numbers, point));
  return compact_json_text({{"dhatFileVersion", 2},
                            {"mode", "heap"},
                            {"verb", "Allocated"},
                            {"bklt", true},
                            {"bkacc", false},
                            {"tu", "µs"},
                            {"Mtu", "s"},
                            {"tuth", kShortLife},
                            {"cmd", command_line(snapshot.process)},
                            {"pid", snapshot.process.identity.pid},
                            {"te", whole(snapshot.process.duration * kMicroseconds)},
                            {"tg", whole(snapshot.at_peak.time * kMicroseconds)},
                            {"pps", std::move(points)},
                            {"ftbl", std::move(frames.list)}});
}

}  // namespace heapster::report
