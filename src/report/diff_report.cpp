// SPDX-License-Identifier: MIT
//
// Two snapshots side by side. The rows are the table's, all of them that moved: what did not
// change is what a person who compares does not want to read.

#include <fmt/format.h>

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
  return report;
}

}  // namespace heapster::report
