// SPDX-License-Identifier: MIT

#include "preload/objects.h"

#include <link.h>

#include <cstddef>
#include <cstdint>

#include "preload/dynamic_section.h"
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

struct Question {
  const void* but;
  bool answer;
};

int needs_cplusplus(dl_phdr_info* object, size_t, void* data) {
  auto* question = static_cast<Question*>(data);
  if (object->dlpi_phdr == question->but) return 0;
  const DynamicSection section(*object);
  const char* strings = section.pointer<char>(DT_STRTAB);
  section.each([&](int64_t tag, uint64_t value) {
    if (tag != DT_NEEDED || strings == nullptr) return;
    question->answer |= starts_with(strings + value, "libstdc++.so") || starts_with(strings + value, "libc++.so");
  });
  return question->answer ? 1 : 0;
}

}  // namespace

bool valgrind_takes_malloc() {
  bool found = false;
  dl_iterate_phdr(visit_name, &found);
  return found;
}

bool speaks_cplusplus(const void* but) {
  Question question = {but, false};
  dl_iterate_phdr(needs_cplusplus, &question);
  return question.answer;
}

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
