// SPDX-License-Identifier: MIT
//
// Memory that grows where it lies. What is mapped counts against a limit of locked memory, and mlockall makes it
// resident, so a table with room for a million entries cannot be mapped, nor its addresses reserved, before it is
// needed; and its entries are used while it grows, so that it cannot move. It therefore begins in a part of the address
// space that neither the kernel nor any runtime we know of gives out by itself, with enough free space behind it, and
// is made longer by mremap. Where others have taken that space meanwhile, it cannot grow, and nothing else happens.

#pragma once

#include <cstddef>
#include <cstdint>

namespace heapster::preload {

class GrowingMemory {
 public:
  // Where a growing memory may begin, another one in each process. 1 GiB behind it is free, as far as anyone can tell.
  static char* choose_place();

  // Maps the first bytes, of a file from `offset` on, or of private memory for -1. False where something is there.
  bool map(char* at, size_t bytes, int fd, size_t offset);
  // Makes a part of it safe to touch, and it longer where it has to be, up to `most` bytes. Any threads may do so at
  // once.
  bool reach(size_t from, size_t to, size_t most);
  void give_back();

 private:
  bool lengthen(size_t to, size_t most);

  char* at_ = nullptr;
  size_t bytes_ = 0;
  uint32_t growing_ = 0;
  bool is_file_ = false;
};

}  // namespace heapster::preload
