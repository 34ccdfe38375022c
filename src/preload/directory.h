// SPDX-License-Identifier: MIT
//
// The names in a directory, by system calls: readdir would allocate.

#pragma once

#include <cstdint>

#include "preload/kernel.h"
#include "preload/scratch.h"

namespace heapster::preload {

struct DirectoryEntry {  // the kernel's struct linux_dirent64
  uint64_t inode;
  int64_t next;
  uint16_t bytes;
  uint8_t type;
  char name[];
};

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
