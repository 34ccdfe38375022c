// SPDX-License-Identifier: MIT
//
// heapster explain: the help columns of the tables, to look up by the names that users meet in
// reports and JSON.

#include <fmt/format.h>

#include <iterator>

#include "options.h"
#include "reader/notes.h"
#include "report/figures.h"
#include "report/stacks_report.h"
#include "report/words.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

struct Entry {
  std::string group;
  std::string name;
  std::string facts;  // unit and kind, or default
  std::string help;
};

std::vector<Entry> all_entries() {
  std::vector<Entry> entries;
  for (const report::Word& row : report::kWords)
    entries.push_back({"words in reports", std::string(row.word),
                       row.figure.empty() ? "no figure of its own" : fmt::format("the figure {}", row.figure),
                       std::string(row.text)});
  for (const report::Figure& row : report::figures({}))
    entries.push_back({std::string(row.section), std::string(row.name),
                       fmt::format("{}, {}", row.unit, name_of(row.kind)), row.help});
  for (const report::HistogramFigure& row : report::histograms({}))
    entries.push_back({"histograms", fmt::format("{}_histogram", row.name),
                       fmt::format("64 counts, {}", name_of(row.kind)),
                       row.help + "; buckets [2^k, 2^(k+1)) for k = 0…63, size 0 apart"});
  for (const reader::StackFigureInfo& row : reader::kStackFigures)
    entries.push_back({"stacks", row.name, std::string_view(row.unit).starts_with("bytes") ? "bytes" : "blocks",
                       report::help_of(row)});
  for (const reader::SamplingFigureInfo& row : reader::kSamplingFigures)
    entries.push_back({"sampling", row.name, row.unit, row.help});
  for (const VariableInfo& row : kVariables)
    entries.push_back({"variables", std::string(row.variable),
                       row.preset.empty() ? "unset by default" : fmt::format("default {}", row.preset),
                       std::string(row.help)});
  for (const reader::NoteInfo& row : reader::kNotes)
    entries.push_back({"notes", std::string(row.name), std::string(name_of(row.effect)), std::string(row.text)});
  return entries;
}

std::string all_text(const std::vector<Entry>& entries) {
  std::string text, group;
  for (const Entry& entry : entries) {
    if (entry.group != group) text += fmt::format("{}{}\n", group.empty() ? "" : "\n", entry.group);
    group = entry.group;
    fmt::format_to(std::back_inserter(text), "  {:<28}{}\n", entry.name, entry.help);
  }
  return text;
}

}  // namespace

Outcome cmd_explain(const Arguments& arguments) {
  CLI::App application("Tells what a figure, an environment variable or a note means.", "heapster explain");
  std::string name;
  application.add_option("NAME", name, "without it, everything is listed");
  if (auto over = parse(application, arguments)) return *over;

  const std::vector<Entry> entries = all_entries();
  if (name.empty()) return print(all_text(entries));
  std::vector<std::string_view> names;
  std::string text;  // a figure of the process may have a namesake among those of a stack
  for (const Entry& entry : entries) {
    if (entry.name == name)
      text += fmt::format("{} ({}, {})\n  {}\n", entry.name, entry.group, entry.facts, entry.help);
    names.push_back(entry.name);
  }
  if (!text.empty()) return print(text);
  return reader::Error{fmt::format("nothing is called '{}'{}", name, did_you_mean(name, names))};
}

}  // namespace heapster::tool
