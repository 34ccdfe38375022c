// SPDX-License-Identifier: MIT
//
// The GNU build-id, which names a binary for good, out of the notes of an object in memory.

#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>

#include "preload/base/libc.h"

namespace heapster::preload {

// Copies it from a PT_NOTE segment into whatever has build_id and build_id_bytes; leaves that alone where there
// is none.
template <typename Place>
void copy_build_id(const char* at, size_t size, Place& place) {
  const auto aligned4 = [](size_t bytes) { return (bytes + 3) & ~size_t{3}; };
  while (size >= sizeof(Elf64_Nhdr)) {
    const auto* note = reinterpret_cast<const Elf64_Nhdr*>(at);
    const size_t whole = sizeof *note + aligned4(note->n_namesz) + aligned4(note->n_descsz);
    if (whole > size) return;
    const char* name = at + sizeof *note;
    if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
        note->n_descsz <= sizeof place.build_id) {
      memcpy(place.build_id, name + aligned4(note->n_namesz), note->n_descsz);
      place.build_id_bytes = note->n_descsz;
      return;
    }
    at += whole;
    size -= whole;
  }
}

// The same, from the program headers of an object that is mapped this far from its own addresses.
template <typename Place>
void find_build_id(const Elf64_Phdr* headers, uint64_t count, uintptr_t bias, Place& place) {
  for (uint64_t i = 0; i < count && place.build_id_bytes == 0; ++i) {
    if (headers[i].p_type != PT_NOTE) continue;
    copy_build_id(reinterpret_cast<const char*>(bias + headers[i].p_vaddr), headers[i].p_memsz, place);
  }
}

}  // namespace heapster::preload
