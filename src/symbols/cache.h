// SPDX-License-Identifier: MIT
//
// Names that were found before, by build id. Only what debug information told is kept: that never changes for one
// build, while a name out of a stripped object's table becomes better once its debug file is there.

#pragma once

#include <map>
#include <string>

#include "reader/names.h"

namespace heapster::symbols {

// $XDG_CACHE_HOME/heapster, or ~/.cache/heapster; empty where neither is known.
std::string default_cache_directory();

class Cache {
 public:
  using Entries = std::map<uint64_t, reader::Locations>;  // by address in the file

  // An empty directory is no cache at all.
  explicit Cache(std::string directory) : directory_(std::move(directory)) {}

  Entries load(const std::string& build_id) const;
  // Puts a file of these entries in place of the one that is there. A cache that cannot be written is no fault.
  void store(const std::string& build_id, const Entries& entries) const;

 private:
  std::string path_of(const std::string& build_id) const;
  void make_room() const;

  std::string directory_;
};

}  // namespace heapster::symbols
