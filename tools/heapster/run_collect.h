// SPDX-License-Identifier: MIT
//
// What a run leaves behind, brought together: the snapshots of the program itself, the segments of
// processes that were killed, and the snapshots of descendants, which lie in the run directory
// and move into one directory beside the program's.

#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "layout/segment.h"
#include "reader/find.h"
#include "reader/held_directory.h"
#include "report/report.h"
#include "run_child.h"
#include "run_names.h"
#include "run_places.h"

namespace heapster::tool {

struct Places {
  std::string pattern;  // HEAPSTER_OUT in force, for the program itself
  std::string program;  // its path

  bool keep() const { return pattern != "none" && pattern != "/dev/null"; }
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

// What the end of the program tells of a process of its number.
reader::Witness witness_of(const Ended& ended, const reader::Process& process);

class Collector {
 public:
  // Before the program's start: what lies in the run directory now is others'. Without one, what the program itself
  // writes is all that there is.
  Collector(Places places, std::optional<reader::HeldDirectory> run_directory);
  void begin(Child child);

  // Who wants to see each descendant once.
  void show_descendants(std::function<void(const reader::Snapshot&)> show) { show_ = std::move(show); }

  // Takes over what has ended so far; called while the program runs, so that the run directory,
  // which is memory, does not fill.
  void drain();
  // After the program's end: the rest. Fills what the accessors tell.
  void finish(const Ended& ended);

  // The images of the program, one more than it made execs; the last is the one that ended.
  const std::vector<reader::Found>& images() const { return images_; }
  const std::vector<Family>& families() const { return families_; }
  int64_t descendants() const { return descendants_; }
  int64_t still_running() const { return still_running_; }
  const std::string& descendants_path() const { return descendants_path_; }
  // Lines about what went wrong.
  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  bool is_child(const Identity& identity) const;
  bool is_ours(const Identity& identity) const;
  std::vector<std::string> arrivals(bool (*wanted)(const std::string&));
  bool is_quiet();
  void look_at_child();
  void take_ended_segments(const Ended& ended);
  void take_left_snapshots();
  void take_written_snapshots();
  void take_segment(const std::string& name, const reader::FileSource& file, reader::Found found, const Ended& ended);
  void take_left_snapshot(const std::string& name, const reader::FileSource& file);
  bool removed_or_kept(const std::string& name, const std::optional<reader::Error>& error, const std::string& path);
  reader::Result<std::string> write_own(const reader::FileSource& file, const reader::Found& found,
                                        const reader::Witness& witness) const;
  reader::Result<reader::Done> write_descendants(const std::string& name, const reader::FileSource& file,
                                                 const std::string& path);
  void move_to_descendants(const std::string& name, const reader::FileSource& file, const std::string& path);
  const Shelf& descendants_shelf();
  void take(const reader::Found& found);
  void count(const reader::Snapshot& snapshot);
  void complain(const std::string& trouble);

  Child child_;
  Places places_;
  Facts facts_;
  std::set<uint32_t> users_;  // as whom the program was seen to run, and we
  std::optional<reader::HeldDirectory> run_;
  std::map<std::string, uint64_t> known_;  // what was looked at in the run directory: its inode
  timespec changed_{};                     // when the run directory was, at the last look
  std::unique_ptr<Shelf> output_;          // where the program's own snapshot goes
  std::unique_ptr<Shelf> descendants_shelf_;
  std::string descendants_path_;
  std::set<std::tuple<uint64_t, uint32_t, uint64_t, uint32_t>> taken_;  // namespace, number, start, image
  std::vector<reader::Found> images_;
  std::vector<Family> families_;
  std::function<void(const reader::Snapshot&)> show_ = [](const reader::Snapshot&) {};
  std::vector<std::string> troubles_;
  int64_t descendants_ = 0;
  int64_t still_running_ = 0;
};

// One row per executable, the one that allocated most first.
report::Table family_table(const std::vector<Family>& families);

}  // namespace heapster::tool
