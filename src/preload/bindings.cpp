// SPDX-License-Identifier: MIT
//
// Only slots of the procedure linkage table are judged: an address in data may be the executable's own
// entry for malloc, which leads to us. A slot that still leads into its own object was never called.

#include "preload/bindings.h"

#include <link.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "preload/dynamic_section.h"
#include "preload/objects.h"
#include "preload/process.h"

namespace heapster::preload {

namespace {

struct Loaded {
  uint64_t count;  // objects
  uint64_t adds;   // objects ever
};
constinit Loaded at_start = {};
constinit const r_debug* debug = nullptr;
constinit const void* executable = nullptr;

// The executable comes first, and its dynamic section says where the loader keeps its list: that is an address of the
// loader's own, and was never an offset.
int count_object(dl_phdr_info* object, size_t, void* data) {
  auto* loaded = static_cast<Loaded*>(data);
  if (loaded->count++ == 0) {
    executable = object->dlpi_phdr;
    debug = reinterpret_cast<const r_debug*>(DynamicSection(*object).value(DT_DEBUG));
  }
  loaded->adds = object->dlpi_adds;
  return 0;
}

bool same_text(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

bool is_one_of_ours(const char* name) {
  for (const char* each : {"malloc", "calloc", "realloc", "free"}) {
    if (same_text(name, each)) return true;
  }
  return false;
}

// Whether a slot leads to somewhere else than us, the object itself (not called yet), or the executable
// (which may have a malloc of its own, and then that is said already).
bool leads_elsewhere(const void* target, const dl_phdr_info& object) {
  const void* home = object_of(target).base;
  return home != nullptr && home != object.dlpi_phdr && home != object_of(own_malloc()).base && home != executable;
}

bool calls_elsewhere(const dl_phdr_info& object) {
  const DynamicSection section(object);
  const auto* slots = section.pointer<ElfW(Rela)>(DT_JMPREL);
  const auto* symbols = section.pointer<ElfW(Sym)>(DT_SYMTAB);
  const auto* strings = section.pointer<char>(DT_STRTAB);
  if (slots == nullptr || symbols == nullptr || strings == nullptr || section.value(DT_PLTREL) != DT_RELA) return false;
  const uint64_t count = section.value(DT_PLTRELSZ) / sizeof *slots;
  for (uint64_t i = 0; i < count; ++i) {
    const auto& symbol = symbols[slots[i].r_info >> 32];
    if (symbol.st_shndx != SHN_UNDEF || !is_one_of_ours(strings + symbol.st_name)) continue;
    const void* target = *reinterpret_cast<void* const*>(object.dlpi_addr + slots[i].r_offset);
    if (leads_elsewhere(target, object)) return true;
  }
  return false;
}

struct Search {
  uint64_t position;
  bool found;
};

int look_at_latecomer(dl_phdr_info* object, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  if (search->position == 0 && object->dlpi_adds == at_start.adds) return 1;
  if (search->position++ >= at_start.count) search->found = calls_elsewhere(*object);
  return search->found ? 1 : 0;
}

}  // namespace

void remember_loaded() { dl_iterate_phdr(count_object, &at_start); }

bool has_other_namespaces() {
  if (debug == nullptr || debug->r_version < 2) return false;
  return reinterpret_cast<const r_debug_extended*>(debug)->r_next != nullptr;
}

bool binds_elsewhere() {
  Search search = {0, false};
  dl_iterate_phdr(look_at_latecomer, &search);
  return search.found;
}

}  // namespace heapster::preload
