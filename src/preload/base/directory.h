// SPDX-License-Identifier: MIT
//
// The names in a directory and the room there, by system calls: readdir would allocate.

#pragma once

#include <cstdint>

#include "preload/base/kernel.h"
#include "preload/base/scratch.h"

namespace heapster::preload {

struct DirectoryEntry {  // the kernel's struct linux_dirent64
  uint64_t inode;
  int64_t next;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

struct FileSystem {  // the kernel's struct statfs begins so
  long type;
  long block_bytes;
  long blocks;
  long free;
  long rest[28];

  // Whether less than a part of it is free. One without a bound is never short.
  bool lacks(long part) const { return blocks > 0 && free < blocks / part; }
};

// All zeros where the kernel does not tell.
inline FileSystem file_system_of(int directory) {
  FileSystem system{};
  kernel::call(__NR_fstatfs, directory, kernel::as_long(&system));
  return system;
}

// How many entries an open directory of a tmpfs has.
inline uint64_t entries_in(int directory) {
  constexpr int64_t kEntry = 20;  // bytes that a tmpfs says for each, "." and ".." among them
  struct stat status {};
  if (kernel::call(__NR_fstat, directory, kernel::as_long(&status)) != 0 || status.st_size < 2 * kEntry) return 0;
  return static_cast<uint64_t>(status.st_size / kEntry - 2);
}

// Calls visit(name) for each entry of an open directory. For the start of a process only.
template <typename Visit>
void each_entry(int directory, Visit visit) {
  char(&buffer)[sizeof scratch.bytes] = scratch.bytes;
  kernel::call(__NR_lseek, directory, 0, 0);
  for (;;) {
    const long size = kernel::call(__NR_getdents64, directory, kernel::as_long(buffer), sizeof buffer);
    if (size <= 0) return;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      visit(entry->name);
      at += entry->bytes;
    }
  }
}

}  // namespace heapster::preload
