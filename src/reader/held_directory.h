// SPDX-License-Identifier: MIT
//
// The run directory as a descriptor. Its path may lead elsewhere a moment later; what was opened and looked at is
// what is listed, read, written and removed.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reader/result.h"

namespace heapster::reader {

struct Entry {
  std::string name;
  uint64_t inode;
};

class HeldDirectory {
 public:
  // A run directory, where nobody else can have planted anything: ours, closed to others, and no link on the way. One
  // that is absent is empty; anything else is refused in one line.
  static Result<HeldDirectory> open(const std::string& path);
  // The same, made where it is absent.
  static Result<HeldDirectory> make(const std::string& path);

  HeldDirectory(HeldDirectory&& other) noexcept;
  HeldDirectory& operator=(HeldDirectory&&) = delete;
  ~HeldDirectory();

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }
  bool is_there() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

  // In the order of their names, so that the answer does not depend on the file system.
  std::vector<Entry> entries(bool (*wanted)(const std::string& name)) const;
  bool remove(const std::string& name) const;

 private:
  explicit HeldDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace heapster::reader
