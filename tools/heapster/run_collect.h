// SPDX-License-Identifier: MIT
//
// What a run leaves behind, brought together: the snapshots of the program itself, the segments of
// processes that were killed, and the snapshots of descendants, which lie in the run directory
// and move into one directory beside the program's.

#pragma once

#include <string>
#include <vector>

#include "reader/find.h"
#include "report/report.h"
#include "run_child.h"

namespace heapster::tool {

struct Places {
  std::string run_directory;
  std::string pattern;      // HEAPSTER_OUT in force, for the program itself
  std::string descendants;  // the directory that descendants' snapshots move to

  bool keep() const { return pattern != "none"; }
};

// The descendants that ran one executable, together.
struct Family {
  std::string executable;
  int64_t processes = 0;
  int64_t allocations = 0;
  int64_t bytes = 0;
  int64_t highest_peak = 0;
  int64_t live = 0;
};

class Collector {
 public:
  Collector(Child child, Places places) : child_(child), places_(std::move(places)) {}

  // Takes over what has ended so far; called while the program runs, so that the run directory,
  // which is memory, does not fill.
  void drain();
  // After the program's end: the rest. Fills what the accessors tell.
  void finish();

  // The images of the program, one more than it made execs; the last is the one that ended.
  const std::vector<reader::Found>& images() const { return images_; }
  const std::vector<Family>& families() const { return families_; }
  int64_t descendants() const { return descendants_; }
  int64_t still_running() const { return still_running_; }
  // Lines about what went wrong.
  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  bool is_child(const reader::Process& process) const;
  bool is_ours(const reader::Process& process) const;
  void take_ended_segments();
  void take_left_snapshots();
  void take_written_snapshots();
  void take(const reader::Found& found);
  void settle(reader::Found& found);
  void move_to_descendants(const reader::Found& found);
  void count(const reader::Snapshot& snapshot);

  Child child_;
  Places places_;
  std::vector<reader::Found> images_;
  std::vector<Family> families_;
  std::vector<std::string> troubles_;
  int64_t descendants_ = 0;
  int64_t still_running_ = 0;
};

// One row per executable, the one that allocated most first.
report::Table family_table(const std::vector<Family>& families);

}  // namespace heapster::tool
