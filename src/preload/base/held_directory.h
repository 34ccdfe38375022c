// SPDX-License-Identifier: MIT
//
// Directories that we write into. Programs list and close their descriptors, so none is kept: a directory is opened
// when there is something to write, and only for that long. What was there at the start is remembered by its device
// and inode.

#pragma once

#include <cstdint>

#include "preload/base/kernel.h"

namespace heapster::preload {

// An open directory that closes at the end of its scope. Negative: none.
class HeldDirectory {
 public:
  explicit HeldDirectory(int descriptor) : descriptor_(descriptor) {}
  HeldDirectory(const HeldDirectory&) = delete;
  HeldDirectory& operator=(const HeldDirectory&) = delete;
  ~HeldDirectory() {
    if (descriptor_ >= 0) kernel::close(descriptor_);
  }
  operator int() const { return descriptor_; }

 private:
  int descriptor_;
};

// Opens a directory by an absolute path, one name after the other, so that no link on the way leads elsewhere.
// `make`: it is made, closed to others, where it is absent. Negative where that cannot be.
int open_without_links(const char* path, bool make);

// Whether an open file or directory is this user's, and closed to others.
bool ours_alone(int descriptor);

// Which directory it is, whatever its path leads to later; an inode of 0: none.
struct DirectoryIdentity {
  uint64_t device;
  uint64_t inode;
};
// Links on the way are followed: they are the user's.
DirectoryIdentity identify_directory(const char* path);
// For writing into it; negative where it is not that one any more.
int open_same_directory(const char* path, const DirectoryIdentity& known);

}  // namespace heapster::preload
