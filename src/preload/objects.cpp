// SPDX-License-Identifier: MIT

#include "preload/objects.h"

#include <link.h>

#include <cstdint>

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

}  // namespace

Object object_of(const void* address) {
  Search search = {reinterpret_cast<uintptr_t>(address), {nullptr, ""}};
  dl_iterate_phdr(visit, &search);
  return search.found;
}

bool is_stub(const void* function) {
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  return dladdr1(function, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) != 0 && symbol != nullptr &&
         symbol->st_shndx == SHN_UNDEF;
}

}  // namespace heapster::preload
