// SPDX-License-Identifier: MIT
//
// Two snapshots side by side. The rows are the table's, all of them that moved: what did not
// change is what a person who compares does not want to read.

#include <fmt/format.h>

#include <array>

#include "report/figures.h"
#include "report/report.h"
#include "report/units.h"

namespace heapster::report {

namespace {

bool moved(const Value& change) {
  if (const auto* whole = std::get_if<int64_t>(&change)) return *whole != 0;
  if (const auto* real = std::get_if<double>(&change)) return *real != 0;
  return false;
}

double real(const Value& value) {
  if (const auto* whole = std::get_if<int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return 0;
}

std::string change_text(const Value& change, std::string_view unit) {
  const std::string text = value_text(change, unit);
  return real(change) > 0 ? "+" + text : text;
}

std::string percent_text(const Value& change, const Value& before) {
  return real(before) > 0 ? fmt::format("{:+.1f} %", 100 * real(change) / real(before)) : "";
}

std::string who(const reader::Process& process) {
  return fmt::format("{} pid {} at {}", printable(reader::short_name(process)), process.identity.pid,
                     seconds_text(process.duration));
}

// Rows of a name, and of some figures what they are and by how much they changed; only those of which one moved.
class ChangeTable {
 public:
  ChangeTable(std::string title, std::string remark) : section_{.title = std::move(title)}, remark_(std::move(remark)) {
    section_.table.heads = {""};
  }

  void column(const char* name) { section_.table.heads.insert(section_.table.heads.end(), {name, "change"}); }

  struct Cell {
    Value before, after;
    std::string_view unit;
  };
  void row(const std::string& name, reader::There there, const std::vector<Cell>& cells) {
    bool tells = there != reader::There::kBoth;
    std::vector<std::string> texts = {printable(name) + mark_of(there)};
    for (const Cell& cell : cells) {
      const Value change = difference(cell.after, cell.before);
      tells = tells || moved(change);
      texts.insert(texts.end(), {value_text(cell.after, cell.unit), change_text(change, cell.unit)});
    }
    if (tells) {
      section_.table.rows.push_back(std::move(texts));
    } else {
      ++unmoved_;
    }
  }

  // Nothing where there are none to compare.
  Section section() && {
    if (section_.table.rows.empty()) section_.table.heads.clear();
    if (section_.table.rows.empty() && unmoved_ == 0) return {};
    section_.remark = section_.table.rows.empty() ? "nothing changed" : remark_;
    if (!section_.table.rows.empty() && unmoved_ > 0)
      section_.remark += fmt::format("{}{} did not change", remark_.empty() ? "" : "; ", unmoved_);
    return std::move(section_);
  }

 private:
  static const char* mark_of(reader::There there) {
    if (there == reader::There::kBoth) return "";
    return there == reader::There::kOnlyAfter ? "  (new)" : "  (gone)";
  }

  Section section_;
  std::string remark_;
  size_t unmoved_ = 0;
};

Section scopes_that_changed(const reader::Diff& diff) {
  ChangeTable table("Scopes", "each without the scopes inside it");
  for (const char* name : {"allocations", "requested", "frees", "live"}) table.column(name);
  for (const reader::ScopeChange& scope : diff.scopes) {
    const std::vector<Figure> before = figures(scope.own.before), after = figures(scope.own.after);
    const auto cell = [&](std::string_view name, std::string_view unit) {
      return ChangeTable::Cell{figure_value(before, name), figure_value(after, name), unit};
    };
    table.row(scope.path, scope.there,
              {cell("alloc_count", "calls"), cell("alloc_sum", "bytes"), cell("dealloc_count", "calls"),
               cell("use_curr", "bytes")});
  }
  return std::move(table).section();
}

Section arenas_that_changed(const reader::Diff& diff) {
  ChangeTable table("Arenas", "as the program tells of them");
  for (const char* name : {"blocks", "bytes", "in use", "upstream"}) table.column(name);
  for (const reader::ArenaChange& arena : diff.arenas) {
    const auto cell = [&](int64_t reader::Arena::*figure, std::string_view unit) {
      return ChangeTable::Cell{arena.before.*figure, arena.after.*figure, unit};
    };
    table.row(arena.after.name, arena.there,
              {cell(&reader::Arena::alloc_count, "calls"), cell(&reader::Arena::alloc_sum, "bytes"),
               cell(&reader::Arena::use_curr, "bytes"), cell(&reader::Arena::upstream_curr, "bytes")});
  }
  return std::move(table).section();
}

}  // namespace

Report make_diff_report(const reader::Snapshot& a, const reader::Snapshot& b, const reader::Diff& diff) {
  Report report{.title = "what changed", .facts = {who(a.process) + " → " + who(b.process)}};
  if (diff.seconds > 0) report.facts.push_back(seconds_text(diff.seconds) + " between");
  const std::vector<Figure> before = figures(diff.before);
  Section section{.title = "Figures"};
  section.table.heads = {"", "before", "after", "change", ""};
  for (const Figure& after : figures(diff.after)) {
    const Value was = figure_value(before, after.name);
    const Value change = difference(after.value, was);
    if (!moved(change)) continue;
    section.table.rows.push_back({std::string(after.name), value_text(was, after.unit),
                                  value_text(after.value, after.unit), change_text(change, after.unit),
                                  percent_text(change, was)});
  }
  if (section.table.rows.empty()) section.remark = "nothing changed";
  report.sections = {section};
  // The sizes of what was allocated in between.
  reader::Snapshot between;
  between.stats = diff.flow;
  const bool forward = diff.seconds > 0;
  if (forward) report.sections.push_back(sizes_section(between));
  for (Section& more : std::array{scopes_that_changed(diff), arenas_that_changed(diff)})
    if (!more.title.empty()) report.sections.push_back(std::move(more));
  return report;
}

}  // namespace heapster::report
