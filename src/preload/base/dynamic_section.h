// SPDX-License-Identifier: MIT
//
// Reading a loaded object's dynamic section, where the loader left it.

#pragma once

#include <link.h>

#include <cstdint>

namespace heapster::preload {

class DynamicSection {
 public:
  explicit DynamicSection(const dl_phdr_info& object) : base_(object.dlpi_addr) {
    for (int i = 0; i < object.dlpi_phnum; ++i) {
      const auto& header = object.dlpi_phdr[i];
      if (header.p_type != PT_DYNAMIC) continue;
      entries_ = reinterpret_cast<const ElfW(Dyn)*>(base_ + header.p_vaddr);
      read_only_ = (header.p_flags & PF_W) == 0;
    }
  }

  // Calls visit(tag, value) for each entry.
  template <typename Visit>
  void each(Visit visit) const {
    for (const ElfW(Dyn)* entry = entries_; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
      visit(entry->d_tag, entry->d_un.d_val);
    }
  }

  uint64_t value(int64_t tag) const {
    uint64_t found = 0;
    each([&](int64_t each_tag, uint64_t value) {
      if (each_tag == tag) found = value;
    });
    return found;
  }

  // What an entry points to that tells where something of this object lies; null without it. The loader has turned the
  // offset into an address, but not where it may not write, as in the vDSO. Which of both it is, the number does not
  // tell: libraries may lie below the executable or above it.
  template <typename What>
  const What* pointer(int64_t tag) const {
    const uint64_t at = value(tag);
    if (at == 0) return nullptr;
    return reinterpret_cast<const What*>(read_only_ ? base_ + at : at);
  }

  // The same of an entry that the loader leaves as it is.
  template <typename What>
  const What* pointer_by_offset(int64_t tag) const {
    const uint64_t at = value(tag);
    return at != 0 ? reinterpret_cast<const What*>(base_ + at) : nullptr;
  }

 private:
  uintptr_t base_;
  const ElfW(Dyn) * entries_ = nullptr;
  bool read_only_ = false;
};

}  // namespace heapster::preload
