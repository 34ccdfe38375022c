// SPDX-License-Identifier: MIT

#include "preload/objects.h"

#include <link.h>

#include <cstddef>
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

bool starts_with(const char* text, const char* start) {
  while (*start != '\0' && *text == *start) ++text, ++start;
  return *start == '\0';
}

const ElfW(Dyn) * dynamic_section_of(const dl_phdr_info& object) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto& header = object.dlpi_phdr[i];
    if (header.p_type == PT_DYNAMIC) return reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + header.p_vaddr);
  }
  return nullptr;
}

// Its strings; the loader has turned the section's offsets into addresses, but not in the vDSO.
const char* strings_of(const dl_phdr_info& object, const ElfW(Dyn) * section) {
  for (; section->d_tag != DT_NULL; ++section) {
    if (section->d_tag != DT_STRTAB) continue;
    const uintptr_t at = section->d_un.d_ptr;
    return reinterpret_cast<const char*>(at < object.dlpi_addr ? object.dlpi_addr + at : at);
  }
  return nullptr;
}

struct Question {
  const void* but;
  bool answer;
};

int needs_cplusplus(dl_phdr_info* object, size_t, void* data) {
  auto* question = static_cast<Question*>(data);
  const ElfW(Dyn)* section = dynamic_section_of(*object);
  if (object->dlpi_phdr == question->but || section == nullptr) return 0;
  const char* strings = strings_of(*object, section);
  for (; strings != nullptr && section->d_tag != DT_NULL; ++section) {
    if (section->d_tag != DT_NEEDED) continue;
    const char* needed = strings + section->d_un.d_val;
    question->answer |= starts_with(needed, "libstdc++.so") || starts_with(needed, "libc++.so");
  }
  return question->answer ? 1 : 0;
}

}  // namespace

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

}  // namespace heapster::preload
