// SPDX-License-Identifier: MIT

#include "support/numbers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "layout/bucket.h"
#include "report/figures.h"

namespace heapster::test {

int64_t figure(const reader::Stats& stats, const std::string& name) {
  const report::Value value = report::figure_value(report::figures(stats), name);
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  ADD_FAILURE() << "no figure " << name;
  return -1;
}

int64_t figure(const reader::Snapshot& snapshot, const std::string& name) { return figure(snapshot.stats, name); }

std::map<std::string, int64_t> facts(const std::string& text) {
  std::map<std::string, int64_t> facts;
  std::istringstream lines(text);
  std::string name;
  for (int64_t value = 0; lines >> name >> value;) facts[name] = value;
  return facts;
}

int64_t allocated_in_bucket_of(const reader::Snapshot& snapshot, uint64_t size) {
  return static_cast<int64_t>(snapshot.stats.alloc.cells[bucket_of(size)].count);
}

bool has_note(const reader::Snapshot& snapshot, const std::string& name) {
  return std::any_of(snapshot.notes.begin(), snapshot.notes.end(),
                     [&](const reader::NoteCount& note) { return note.name == name && note.count != 0; });
}

}  // namespace heapster::test
