// SPDX-License-Identifier: MIT
//
// The timeline as valgrind's massif writes it, without stacks (heap_tree=empty), for ms_print and
// massif-visualizer. Massif tells the bytes asked for and, as "extra", what the allocator adds;
// our level is in usable bytes, of which the whole run's share of slack is the extra. The peak is
// put in at its time, between two points if need be.

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Snapshot;

struct Point {
  int64_t milliseconds;
  int64_t bytes;
  bool peak;
};

Point point_at(double seconds, int64_t bytes, bool peak) {
  return {static_cast<int64_t>(std::max(seconds, 0.0) * 1e3), std::max<int64_t>(bytes, 0), peak};
}

std::vector<Point> points_of(const Snapshot& snapshot) {
  std::vector<Point> points{{0, 0, false}};
  const auto time = snapshot.timeline.column("time");
  const auto use = snapshot.timeline.column("use_curr");
  if (time && use)
    for (const auto& point : snapshot.timeline.points)
      points.push_back(point_at(static_cast<double>(point[*time]) / 1e9, point[*use], false));
  const reader::Use& level = snapshot.stats.use;
  points.push_back(point_at(snapshot.process.duration, level.curr.value().value_or(0), false));
  points.push_back(point_at(level.max_time.value_or(0), level.max.value().value_or(0), true));
  std::stable_sort(points.begin(), points.end(), [](auto& a, auto& b) { return a.milliseconds < b.milliseconds; });
  return points;
}

double slack_share(const reader::Stats& stats) {
  const auto usable = static_cast<double>(stats.usable.bytes().value().value_or(0));
  const auto slack = static_cast<double>((stats.usable.bytes() - stats.alloc.bytes()).value().value_or(0));
  return usable > 0 ? std::clamp(slack / usable, 0.0, 1.0) : 0;
}

std::string command_line(const reader::Process& process) {
  std::string line = process.executable;
  for (size_t i = 0; i < process.command.size(); ++i)
    line = i == 0 ? process.command[0] : line + " " + process.command[i];
  return printable(line);
}

}  // namespace

std::string render_massif(const Snapshot& snapshot) {
  std::string out =
      fmt::format("desc: heapster, timeline of live bytes; extra is the average slack\ncmd: {}\ntime_unit: ms\n",
                  command_line(snapshot.process));
  const double share = slack_share(snapshot.stats);
  int number = 0;
  for (const Point& point : points_of(snapshot)) {
    const auto extra = whole(static_cast<double>(point.bytes) * share);
    const int64_t asked = point.bytes - extra;
    fmt::format_to(
        std::back_inserter(out),
        "#-----------\nsnapshot={}\n#-----------\ntime={}\nmem_heap_B={}\nmem_heap_extra_B={}\nmem_stacks_B=0\n"
        "heap_tree={}\n",
        number++, point.milliseconds, asked, extra, point.peak ? "peak" : "empty");
    if (point.peak) fmt::format_to(std::back_inserter(out), "n0: {} (no stacks were recorded)\n", asked);
  }
  return out;
}

}  // namespace heapster::report
