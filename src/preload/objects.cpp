// SPDX-License-Identifier: MIT

#include "preload/objects.h"

#include <link.h>

#include <cstdint>

#include "preload/text.h"

namespace heapster::preload {

namespace {

struct Search {
  uintptr_t address;
  Object found;
};

int visit(dl_phdr_info* object, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& header = object->dlpi_phdr[i];
    if (header.p_type != PT_LOAD || search->address - (object->dlpi_addr + header.p_vaddr) >= header.p_memsz) continue;
    search->found = {object->dlpi_phdr, object->dlpi_name};
    return 1;
  }
  return 0;
}

// valgrind's core comes with every tool; the others stand in for malloc.
int visit_name(dl_phdr_info* object, size_t, void* data) {
  const char* name = base_name(object->dlpi_name);
  const bool takes_malloc = starts_with(name, "vgpreload_") && !starts_with(name, "vgpreload_core");
  *static_cast<bool*>(data) = takes_malloc;
  return takes_malloc ? 1 : 0;
}

}  // namespace

bool valgrind_takes_malloc() {
  bool found = false;
  dl_iterate_phdr(visit_name, &found);
  return found;
}

Object object_of(const void* address) {
  Search search = {reinterpret_cast<uintptr_t>(address), {nullptr, ""}};
  dl_iterate_phdr(visit, &search);
  return search.found;
}

}  // namespace heapster::preload
