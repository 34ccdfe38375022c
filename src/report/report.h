// SPDX-License-Identifier: MIT
//
// What a person is shown, before it is text: sections of rows, bars, tables and a chart. Here it
// is decided what is worth telling; render_text only knows how to lay it out.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reader/diff.h"
#include "reader/snapshot.h"

namespace heapster::report {

enum class Mood { kPlain, kGood, kBad };

struct Row {
  std::string label;
  std::string value;
  std::string rate;
  std::string remark;
};

// One line of a histogram: a range and how many lie in it.
struct Bar {
  std::string low, high;
  int64_t count;
};

struct Table {
  std::vector<std::string> heads;  // all but the first column are set to the right
  std::vector<std::vector<std::string>> rows;
};

// Characters of each column's widest cell.
std::vector<size_t> widths_of(const Table& table);

struct Section {
  std::string title = {};
  std::string remark = {};
  Mood mood = Mood::kPlain;
  std::vector<Row> rows = {};
  std::vector<Bar> bars = {};
  Table table = {};
  std::vector<int64_t> chart = {};  // equally spaced levels, drawn as blocks
  std::vector<std::string> lines = {};
};

struct Report {
  std::string title = {};
  std::vector<std::string> facts = {};  // beside the title
  std::string verdict = {};             // coverage, in the colour of `mood`
  Mood mood = Mood::kPlain;
  std::vector<std::string> lines = {};  // below it
  std::vector<Section> sections = {};
};

struct Wanted {
  bool threads = false;
  bool timeline = false;  // its points as a table
};

// Who the process is and how it stands, above no section yet.
Report make_head(const reader::Snapshot& snapshot);
Report make_report(const reader::Snapshot& snapshot, Wanted wanted = {});
// The figures that people ask for, or all that changed.
enum class Extent { kLeading, kAll };
Report make_diff_report(const reader::Snapshot& a, const reader::Snapshot& b, const reader::Diff& diff,
                        Extent extent = Extent::kLeading);

// The parts that only some reports have (sections.cpp).
Section sizes_section(const reader::Snapshot& snapshot);
Section live_sizes_section(const reader::Snapshot& snapshot);
Section timeline_section(const reader::Snapshot& snapshot);
Section timeline_table(const reader::Snapshot& snapshot);
Section threads_section(const reader::Snapshot& snapshot);
Section scopes_section(const reader::Snapshot& snapshot);
Section arenas_section(const reader::Snapshot& snapshot);
Section notes_section(const reader::Snapshot& snapshot);
Section sampling_section(const reader::Snapshot& snapshot);

// What "near the peak" is: when the table of live blocks was copied, and at which level. Empty where it never was.
std::string near_peak_text(const reader::Snapshot& snapshot);

// The process number, and the inner one where it has another.
std::string pid_text(const reader::Process& process);

// The allocator behind libheapster.so as people call it: glibc, jemalloc, mimalloc; empty where it is not known.
std::string allocator_text(const reader::Process& process);

// A command line for one line of text.
std::string command_text(const reader::Process& process, size_t most);

struct Look {
  bool colour = false;
};
std::string render_text(const Report& report, Look look = {});
std::string render_table(const Table& table, Look look = {});

}  // namespace heapster::report
