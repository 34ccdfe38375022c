// SPDX-License-Identifier: MIT
//
// The directories that heapster-run writes into, kept open from its start: their paths may lead elsewhere later, and
// where others may write, they may plant a link.

#pragma once

#include <string>

#include "reader/dump.h"
#include "reader/result.h"

namespace heapster::tool {

class Shelf {
 public:
  // A directory that the user named; the links on the way are his. Where it cannot be opened, fault() says why.
  explicit Shelf(std::string path);
  // One in there, made where it is absent: neither a link nor another user's.
  Shelf(const Shelf& parent, const std::string& name);
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;
  ~Shelf();

  bool is_open() const { return descriptor_ >= 0; }
  const std::string& fault() const { return fault_; }  // one line
  const std::string& path() const { return path_; }
  // As a person would write it: without "./".
  std::string path_of(const std::string& name) const;
  int descriptor() const { return descriptor_; }

  bool has(const std::string& name) const;
  // Under the name, or the first numbered one that is free.
  reader::Result<reader::Done> take_copy(const reader::FileSource& file, const std::string& path,
                                         const std::string& name) const;
  // The same without copying, where both are on one file system.
  bool take_over(int directory, const std::string& name) const;

 private:
  std::string path_;
  std::string fault_;
  int descriptor_ = -1;
};

}  // namespace heapster::tool
