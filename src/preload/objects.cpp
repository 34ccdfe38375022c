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

struct Wanted {
  const void* base;
  const char* name;
  const void* found;
};

uint32_t gnu_hash(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

struct HashTable {  // of the section .gnu.hash
  uint32_t buckets;
  uint32_t first_symbol;
  uint32_t filter_words;
  uint32_t filter_shift;
  uint64_t filter[];
};

int look_into(dl_phdr_info* object, size_t, void* data) {
  auto* wanted = static_cast<Wanted*>(data);
  if (object->dlpi_phdr != wanted->base) return 0;
  const DynamicSection section(*object);
  const auto* table = section.pointer<HashTable>(DT_GNU_HASH);
  const auto* symbols = section.pointer<ElfW(Sym)>(DT_SYMTAB);
  const auto* strings = section.pointer<char>(DT_STRTAB);
  if (table == nullptr || symbols == nullptr || strings == nullptr || table->buckets == 0) return 1;
  const auto* buckets = reinterpret_cast<const uint32_t*>(table->filter + table->filter_words);
  const uint32_t* chains = buckets + table->buckets;
  const uint32_t hash = gnu_hash(wanted->name);
  for (uint32_t i = buckets[hash % table->buckets]; i >= table->first_symbol; ++i) {
    const uint32_t each = chains[i - table->first_symbol];
    if ((each | 1) == (hash | 1) && equal(strings + symbols[i].st_name, wanted->name)) {
      const bool here = symbols[i].st_shndx != SHN_UNDEF && (symbols[i].st_info & 15) == STT_FUNC;
      wanted->found = here ? reinterpret_cast<const void*>(object->dlpi_addr + symbols[i].st_value) : nullptr;
      return 1;
    }
    if ((each & 1) != 0) return 1;
  }
  return 1;
}

}  // namespace

const void* function_of(const Object& object, const char* name) {
  Wanted wanted = {object.base, name, nullptr};
  dl_iterate_phdr(look_into, &wanted);
  return wanted.found;
}

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
