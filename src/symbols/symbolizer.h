// SPDX-License-Identifier: MIT
//
// Names for all frames of a snapshot, on this machine or another than the one it was taken on.

#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "reader/names.h"
#include "symbols/cache.h"
#include "symbols/find_object.h"
#include "symbols/helper.h"

namespace heapster::symbols {

struct Options {
  Places places = {};
  std::string cache = {};  // its directory; empty: none
  Limits limits = {};      // for each object
  // Told before an object is looked at: its name, and how many of how many are done.
  std::function<void(const std::string& object, size_t done, size_t all)> progress = {};
};

class Symbolizer {
 public:
  explicit Symbolizer(Options options);

  // `stacks` must outlive the names. Snapshots of one build get one set of names, whichever of them comes first.
  reader::Names names(const reader::Stacks& stacks);

  // What was not found and why, a line for each object.
  const std::vector<std::string>& troubles() const { return troubles_; }

 private:
  using Wanted = std::set<uint64_t>;  // addresses in the file that calls return to

  void look_up(const reader::Module& module, const Wanted& wanted, Cache::Entries& known);
  void tell(const reader::Module& module, const Wanted& wanted, const Say& say) const;
  void add_trouble(const std::string& trouble);

  Options options_;
  Cache cache_;
  std::map<std::string, Cache::Entries> known_;  // by build id, or by path
  std::vector<std::string> troubles_;
};

}  // namespace heapster::symbols
