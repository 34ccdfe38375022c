// SPDX-License-Identifier: MIT
//
// Two snapshots side by side. The rows are the table's, all of them that moved: what did not
// change is what a person who compares does not want to read.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "report/figures.h"
#include "report/report.h"
#include "report/units.h"
#include "report/words.h"

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
  return real(before) > 0 && moved(change) ? fmt::format("{:+.1f} %", 100 * real(change) / real(before)) : "";
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

// What people ask first.
constexpr std::string_view kLeading[] = {"use_max", "use_curr", "alloc_count", "alloc_sum", "realloc_copy_sum"};

using Cells = std::vector<std::string>;

Cells change_row(std::string_view label, const Value& was, const Value& is, std::string_view unit) {
  const Value change = difference(is, was);
  return {std::string(label), value_text(was, unit), value_text(is, unit), change_text(change, unit),
          percent_text(change, was)};
}

Section figures_section(const reader::Diff& diff, Extent extent) {
  const std::vector<Figure> before = figures(diff.before);
  const std::vector<Figure> all = figures(diff.after);
  Section section{.title = "Figures"};
  section.table.heads = {"", "before", "after", "change", ""};
  size_t others = 0;
  bool any = false;
  for (const std::string_view name : kLeading) {
    if (extent == Extent::kAll) break;
    for (const Figure& after : all)
      if (after.name == name)
        section.table.rows.push_back(change_row(word_for(name), figure_value(before, name), after.value, after.unit));
  }
  for (const Figure& after : all) {
    const Value was = figure_value(before, after.name);
    if (!moved(difference(after.value, was))) continue;
    any = true;
    const bool leads = std::find(std::begin(kLeading), std::end(kLeading), after.name) != std::end(kLeading);
    if (extent == Extent::kAll) section.table.rows.push_back(change_row(after.name, was, after.value, after.unit));
    if (extent == Extent::kLeading && !leads) ++others;
  }
  if (!any) section.remark = "nothing changed";
  if (others != 0) section.remark = fmt::format("{} more changed (--all)", others);
  return section;
}

// What the kernel and the loader tell of two runs.
Section runs_section(const reader::Process& a, const reader::Process& b) {
  Section section{.title = "Runs"};
  section.table.heads = {"", "before", "after", "change", ""};
  const std::string was = allocator_text(a), is = allocator_text(b);
  if (was != is) section.table.rows.push_back({"allocator", printable(was), printable(is), "", ""});
  const auto row = [&](std::string_view label, double before, double after, std::string_view unit) {
    if (before != 0 || after != 0) section.table.rows.push_back(change_row(label, before, after, unit));
  };
  const auto count = [&](std::string_view label, uint64_t before, uint64_t after, std::string_view unit) {
    if (before != 0 || after != 0)
      section.table.rows.push_back(change_row(label, static_cast<int64_t>(before), static_cast<int64_t>(after), unit));
  };
  const auto seconds = [](uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; };
  row("duration", a.duration, b.duration, "seconds");
  row("user time", seconds(a.ending.user_nanoseconds), seconds(b.ending.user_nanoseconds), "seconds");
  row("system time", seconds(a.ending.system_nanoseconds), seconds(b.ending.system_nanoseconds), "seconds");
  count("maximum RSS", a.ending.max_rss_bytes, b.ending.max_rss_bytes, "bytes");
  count("minor faults", a.ending.minor_faults, b.ending.minor_faults, "calls");
  count("major faults", a.ending.major_faults, b.ending.major_faults, "calls");
  return section;
}

}  // namespace

Report make_diff_report(const reader::Snapshot& a, const reader::Snapshot& b, const reader::Diff& diff, Extent extent) {
  Report report{.title = "what changed", .facts = {who(a.process) + " → " + who(b.process)}};
  if (diff.seconds > 0) report.facts.push_back(seconds_text(diff.seconds) + " between");
  report.sections = {figures_section(diff, extent)};
  if (!reader::same_process(a.process, b.process)) report.sections.push_back(runs_section(a.process, b.process));
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
