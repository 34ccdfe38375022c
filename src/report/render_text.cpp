// SPDX-License-Identifier: MIT
//
// Laying a Report out for a terminal, a pipe or a log. Columns are as wide as their widest cell,
// counted in characters, not bytes. Colour only marks what stands there in words as well.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "report/report.h"
#include "report/units.h"

namespace heapster::report {

namespace {

constexpr size_t kBarWidth = 40;
constexpr std::string_view kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

std::string left(std::string_view text, size_t columns) {
  return std::string(text) + std::string(columns - std::min(columns, width(text)), ' ');
}

std::string right(std::string_view text, size_t columns) {
  return std::string(columns - std::min(columns, width(text)), ' ') + std::string(text);
}

std::string without_trailing(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

class Painter {
 public:
  explicit Painter(Look look) : colour_(look.colour) {}

  std::string bold(const std::string& text) const { return paint(text, "1"); }
  std::string dim(const std::string& text) const { return paint(text, "2"); }
  std::string mood(const std::string& text, Mood mood) const {
    if (mood == Mood::kPlain) return text;
    return paint(text, mood == Mood::kGood ? "32" : "33");
  }

 private:
  std::string paint(const std::string& text, const char* code) const {
    return colour_ && !text.empty() ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
  }

  bool colour_;
};

template <class T, class Get>
size_t widest(const std::vector<T>& items, Get get) {
  size_t most = 0;
  for (const T& item : items) most = std::max(most, width(get(item)));
  return most;
}

// Rows of the whole report share their columns, so that the eye runs down one edge.
struct Columns {
  size_t label = 0, value = 0, rate = 0;
};

Columns columns_of(const Report& report) {
  Columns columns;
  for (const Section& section : report.sections) {
    columns.label = std::max(columns.label, widest(section.rows, [](const Row& r) { return r.label; }));
    columns.value = std::max(columns.value, widest(section.rows, [](const Row& r) { return r.value; }));
    columns.rate = std::max(columns.rate, widest(section.rows, [](const Row& r) { return r.rate; }));
  }
  return columns;
}

std::string row_text(const Row& row, const Columns& columns) {
  return without_trailing(fmt::format("  {}  {}  {}  {}", left(row.label, columns.label),
                                      right(row.value, columns.value), right(row.rate, columns.rate), row.remark)) +
         "\n";
}

std::string bars_text(const std::vector<Bar>& bars) {
  const size_t low = widest(bars, [](const Bar& b) { return b.low; });
  const size_t high = widest(bars, [](const Bar& b) { return b.high; });
  const size_t count = widest(bars, [](const Bar& b) { return count_text(b.count); });
  int64_t most = 1;
  for (const Bar& bar : bars) most = std::max(most, bar.count);
  std::string out;
  for (const Bar& bar : bars) {
    const double share = static_cast<double>(bar.count) / static_cast<double>(most);
    const auto length = static_cast<size_t>(std::lround(std::max(share, 0.0) * kBarWidth));
    const std::string hashes(bar.count > 0 ? std::max<size_t>(length, 1) : 0, '#');
    out += without_trailing(fmt::format("  [{} .. {})  {}  {}", right(bar.low, low), right(bar.high, high),
                                        right(count_text(bar.count), count), hashes)) +
           "\n";
  }
  return out;
}

std::string chart_text(const std::vector<int64_t>& levels) {
  const int64_t most = std::max<int64_t>(1, *std::max_element(levels.begin(), levels.end()));
  std::string out = "  ";
  for (const int64_t level : levels) {
    const double share = static_cast<double>(level) / static_cast<double>(most);
    out += kBlocks[static_cast<size_t>(std::lround(std::clamp(share, 0.0, 1.0) * 7))];
  }
  return out + "\n";
}

std::string cells_text(const std::vector<std::string>& cells, const std::vector<size_t>& widths) {
  std::string line = "  " + left(cells.empty() ? "" : cells[0], widths[0]);
  for (size_t i = 1; i < cells.size(); ++i) line += "  " + right(cells[i], widths[i]);
  return without_trailing(line);
}

std::string section_text(const Section& section, const Columns& columns, const Painter& painter, Look look) {
  std::string out = "\n";
  out += painter.bold(section.title);
  if (!section.remark.empty()) out += "  " + painter.dim(section.remark);
  out += "\n";
  for (const Row& row : section.rows) out += painter.mood(row_text(row, columns), section.mood);
  out += bars_text(section.bars);
  out += render_table(section.table, look);
  if (!section.chart.empty()) out += chart_text(section.chart);
  for (const std::string& line : section.lines) out += "  " + painter.mood(line, section.mood) + "\n";
  return out;
}

}  // namespace

std::vector<size_t> widths_of(const Table& table) {
  std::vector<size_t> widths(table.heads.size());
  for (size_t i = 0; i < widths.size(); ++i) {
    widths[i] = width(table.heads[i]);
    for (const auto& row : table.rows) widths[i] = std::max(widths[i], width(row[i]));
  }
  return widths;
}

std::string render_table(const Table& table, Look look) {
  if (table.rows.empty()) return "";
  const std::vector<size_t> widths = widths_of(table);
  std::string out = Painter(look).dim(cells_text(table.heads, widths)) + "\n";
  for (const auto& row : table.rows) out += cells_text(row, widths) + "\n";
  return out;
}

std::string render_text(const Report& report, Look look) {
  const Painter painter(look);
  std::string out = painter.bold("heapster: " + report.title);
  for (const std::string& fact : report.facts) out += " · " + fact;
  if (!report.verdict.empty()) out += " · " + painter.mood(report.verdict, report.mood);
  out += "\n";
  for (const std::string& line : report.lines) out += "  " + painter.dim(line) + "\n";
  const Columns columns = columns_of(report);
  for (const Section& section : report.sections) out += section_text(section, columns, painter, look);
  return out;
}

}  // namespace heapster::report
