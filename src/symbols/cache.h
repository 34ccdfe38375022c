// SPDX-License-Identifier: MIT
//
// Names that were found before, by build id. What debug information told never changes for one build. A name out of an
// object's symbol table becomes better once its debug file is there, so such names are kept apart, and by the size of
// the table that they came from.

#pragma once

#include <map>
#include <string>

#include "reader/names.h"

namespace heapster::symbols {

// What is known of one address as a line, and back; false where the line is not one of ours.
std::string line_of(uint64_t address, const reader::Locations& locations);
bool take_line(const std::string& line, std::map<uint64_t, reader::Locations>& entries);

// $XDG_CACHE_HOME/heapster, or ~/.cache/heapster; empty where neither is known.
std::string default_cache_directory();

class Cache {
 public:
  // By address in the file. Nothing at an address is an answer, too, and a search through the whole table.
  using Entries = std::map<uint64_t, reader::Locations>;

  // An empty directory is no cache at all.
  explicit Cache(std::string directory) : directory_(std::move(directory)) {}

  // `table` is how many symbols the table has; 0: what debug information told.
  Entries load(const std::string& build_id, int table = 0) const;
  // Puts a file of these entries in place of the one that is there. A cache that cannot be written is no fault.
  void store(const std::string& build_id, const Entries& entries, int table = 0) const;

 private:
  std::string path_of(const std::string& build_id, int table) const;
  void make_room() const;

  std::string directory_;
};

}  // namespace heapster::symbols
