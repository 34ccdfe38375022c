// SPDX-License-Identifier: MIT
//
// The sections that are drawn or tabulated: sizes, what lives by size, the course over time,
// threads, scopes, arenas, notes. Histograms are shown from the first to the last bucket that holds something;
// gaps inside stay, because a gap is news.

#include <fmt/format.h>

#include <algorithm>

#include "report/figures.h"
#include "report/report.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Histogram;
using reader::Snapshot;

constexpr size_t kChartWidth = 60;

// Bounds are powers of two, and need no decimals.
std::string bound(uint32_t power) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  return fmt::format("{} {}", 1u << power % 10, kUnits[power / 10]);
}

std::string low_text(uint32_t bucket) { return bucket == 0 ? "0 B" : bound(bucket - 1); }
std::string high_text(uint32_t bucket) { return bound(bucket); }

struct Range {
  uint32_t first = 0, end = 0;
};

// From the first to the last bucket that is not empty in any of the histograms.
Range filled(std::initializer_list<const Histogram*> histograms) {
  Range range{kBuckets, 0};
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket)
    for (const Histogram* histogram : histograms)
      if (histogram->cells[bucket].count != 0) range = {std::min(range.first, bucket), bucket + 1};
  return range;
}

std::string cell_count(const Cell& cell) { return cell.count ? count_text(static_cast<int64_t>(cell.count)) : "·"; }
std::string cell_bytes(const Cell& cell) { return cell.count ? bytes_text(static_cast<int64_t>(cell.bytes)) : "·"; }

// The level at equally spaced times: of the points that fall into a column the highest, and where
// none does, what it was before.
std::vector<int64_t> levels(const Snapshot& snapshot, size_t time, size_t use) {
  const auto& points = snapshot.timeline.points;
  const auto whole = std::max(static_cast<double>(points.back()[time]), 1.0);
  std::vector<int64_t> columns(std::min(kChartWidth, points.size()), -1);
  for (const auto& point : points) {
    const double place = static_cast<double>(point[time]) / whole * static_cast<double>(columns.size());
    int64_t& column = columns[std::min(static_cast<size_t>(place), columns.size() - 1)];
    column = std::max(column, std::max<int64_t>(point[use], 0));
  }
  int64_t before = 0;
  for (int64_t& column : columns) before = column = column < 0 ? before : column;
  return columns;
}

std::string point_text(int64_t value, const std::string& unit) {
  if (unit == "nanoseconds") return seconds_text(static_cast<double>(value) / 1e9);
  return unit == "bytes" ? bytes_text(value) : count_text(value);
}

std::string size_text(uint64_t size) { return bytes_text(static_cast<int64_t>(std::min<uint64_t>(size, INT64_MAX))); }

std::string quantiles_text(const reader::Stats& stats) {
  std::string text;
  for (const int percent : {50, 90, 99}) {
    const auto size = reader::requested_quantile(stats, percent / 100.0);
    if (!size) continue;
    text += fmt::format("{}p{} {}", text.empty() ? "" : " · ", percent, size_text(size->low));
    if (size->low != size->high) text += ".." + size_text(size->high);
  }
  return text;
}

std::string thread_label(const reader::Thread& thread) { return thread.name.empty() ? "?" : printable(thread.name); }

}  // namespace

Section sizes_section(const Snapshot& snapshot) {
  const Histogram& asked = snapshot.stats.alloc;
  Section section{.title = "Requested sizes", .remark = quantiles_text(snapshot.stats)};
  const Range range = filled({&asked});
  for (uint32_t bucket = range.first; bucket < range.end; ++bucket)
    section.bars.push_back({low_text(bucket), high_text(bucket), static_cast<int64_t>(asked.cells[bucket].count)});
  return section;
}

std::string near_peak_text(const Snapshot& snapshot) {
  const auto& cells = snapshot.at_peak.live.cells;
  if (std::all_of(cells.begin(), cells.end(), [](const Cell& cell) { return cell.count == 0; })) return "";
  return fmt::format("near the peak: at {}, when {} were live", seconds_text(snapshot.at_peak.time),
                     bytes_text(snapshot.at_peak.use_curr));
}

Section live_sizes_section(const Snapshot& snapshot) {
  const Histogram now = snapshot.stats.live();
  const Histogram& peak = snapshot.at_peak.live;
  Section section{.title = "Live blocks by usable size", .remark = near_peak_text(snapshot)};
  const Range range = filled({&now, &peak});
  section.table.heads = {"", "now", "bytes", "near the peak", "bytes"};
  for (uint32_t bucket = range.first; bucket < range.end; ++bucket) {
    if (now.cells[bucket].count == 0 && peak.cells[bucket].count == 0) continue;
    section.table.rows.push_back({fmt::format("[{} .. {})", low_text(bucket), high_text(bucket)),
                                  cell_count(now.cells[bucket]), cell_bytes(now.cells[bucket]),
                                  cell_count(peak.cells[bucket]), cell_bytes(peak.cells[bucket])});
  }
  return section;
}

Section timeline_section(const Snapshot& snapshot) {
  const auto time = snapshot.timeline.column("time");
  const auto use = snapshot.timeline.column("use_curr");
  const auto& points = snapshot.timeline.points;
  if (!time || !use || points.size() < 2) return {};
  Section section{.title = "Timeline of live memory", .chart = levels(snapshot, *time, *use)};
  section.remark =
      fmt::format("0 .. {} over {}", bytes_text(*std::max_element(section.chart.begin(), section.chart.end())),
                  seconds_text(static_cast<double>(points.back()[*time]) / 1e9));
  return section;
}

Section timeline_table(const Snapshot& snapshot) {
  const auto& timeline = snapshot.timeline;
  Section section{.title = "Timeline", .remark = fmt::format("{} points", timeline.points.size())};
  for (const reader::Column& column : timeline.columns) section.table.heads.push_back(printable(column.name));
  for (const auto& point : timeline.points) {
    std::vector<std::string>& row = section.table.rows.emplace_back();
    for (size_t i = 0; i < point.size(); ++i) row.push_back(point_text(point[i], timeline.columns[i].unit));
  }
  return section;
}

Section threads_section(const Snapshot& snapshot) {
  Section section{.title = "Threads", .remark = "the latest in each slot; a thread may free what others allocated"};
  section.table.heads = {"", "tid", "allocations", "requested", "frees", "reallocations", "live"};
  for (const reader::Thread& thread : snapshot.threads) {
    const std::vector<Figure> rows = figures(thread.stats);
    const auto text = [&](std::string_view name, std::string_view unit) {
      return value_text(figure_value(rows, name), unit);
    };
    const std::string tid = thread.tid != 0 ? fmt::format("{}", thread.tid) : "ended";
    section.table.rows.push_back({thread_label(thread), tid, text("alloc_count", "calls"), text("alloc_sum", "bytes"),
                                  text("dealloc_count", "calls"), text("realloc_count", "calls"),
                                  text("use_curr", "bytes")});
  }
  return section;
}

Section scopes_section(const Snapshot& snapshot) {
  if (snapshot.scopes.empty()) return {};
  Section section{.title = "Scopes", .remark = "each without the scopes inside it; the last two columns with them"};
  section.table.heads = {"", "allocations", "requested", "frees", "live", "all allocations", "all live"};
  for (const reader::Scope& scope : snapshot.scopes) {
    const std::vector<Figure> own = figures(scope.own), whole = figures(scope.whole);
    const auto text = [](const std::vector<Figure>& rows, std::string_view name, std::string_view unit) {
      return value_text(figure_value(rows, name), unit);
    };
    section.table.rows.push_back({printable(scope.path), text(own, "alloc_count", "calls"),
                                  text(own, "alloc_sum", "bytes"), text(own, "dealloc_count", "calls"),
                                  text(own, "use_curr", "bytes"), text(whole, "alloc_count", "calls"),
                                  text(whole, "use_curr", "bytes")});
  }
  return section;
}

Section arenas_section(const Snapshot& snapshot) {
  if (snapshot.arenas.empty()) return {};
  Section section{.title = "Arenas", .remark = "as the program tells of them"};
  section.table.heads = {"", "blocks", "bytes", "in use", "highest", "upstream", "wasted", "resets"};
  for (const reader::Arena& arena : snapshot.arenas) {
    section.table.rows.push_back({printable(arena.name), count_text(arena.alloc_count), bytes_text(arena.alloc_sum),
                                  bytes_text(arena.use_curr), bytes_text(arena.use_max),
                                  arena.upstream_count > 0 ? bytes_text(arena.upstream_curr) : std::string(kUnknown),
                                  value_text(wasted(arena), "bytes"), count_text(arena.reset_count)});
  }
  return section;
}

Section notes_section(const Snapshot& snapshot) {
  Section section{.title = "Notes"};
  for (const reader::NoteCount& note : snapshot.notes) {
    if (note.effect != reader::Effect::trouble && note.effect != reader::Effect::fact) continue;  // told by the title
    const std::string times = note.count > 1 ? fmt::format(" ({} times)", count_text(note.count)) : "";
    section.lines.push_back(printable(note.text) + times);
    if (note.effect != reader::Effect::fact) section.mood = Mood::kBad;
  }
  for (const std::string& refused : snapshot.process.refused) section.lines.push_back("ignored: " + printable(refused));
  for (const reader::Unnamed& unnamed : snapshot.stats.unnamed)
    section.lines.push_back(fmt::format("unknown to this version: {} = {} {}", printable(unnamed.name),
                                        count_text(static_cast<int64_t>(unnamed.sum.bytes)), printable(unnamed.unit)));
  return section;
}

}  // namespace heapster::report
