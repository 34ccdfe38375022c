// SPDX-License-Identifier: MIT
//
// Only slots of the procedure linkage table are judged: an address in data may be the executable's own
// entry for malloc, which leads to us. A slot that still leads into its own object was never called.

#include "preload/life/bindings.h"

#include <link.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "preload/base/dynamic_section.h"
#include "preload/base/objects.h"
#include "preload/base/text.h"
#include "preload/next/next.h"

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

bool is_one_of_ours(const char* name) {
  for (const char* each : {"malloc", "calloc", "realloc", "free"}) {
    if (equal(name, each)) return true;
  }
  return false;
}

// Whether a slot leads to somewhere else than us, the object itself (not called yet), or the executable
// (which may have a malloc of its own, and then that is said already).
bool leads_elsewhere(const void* target, const dl_phdr_info& object) {
  const void* home = object_of(target).base;
  return home != nullptr && home != object.dlpi_phdr && home != object_of(__ehdr_start).base && home != executable;
}

// Calls visit(name, slot) for each symbol of others that a table of relocations puts an address of into a slot, until
// it answers true.
template <typename Visit>
bool any_import(const dl_phdr_info& object, int64_t table, int64_t bytes, Visit visit) {
  const DynamicSection section(object);
  const auto* slots = section.pointer<ElfW(Rela)>(table);
  const auto* symbols = section.pointer<ElfW(Sym)>(DT_SYMTAB);
  const auto* strings = section.pointer<char>(DT_STRTAB);
  if (slots == nullptr || symbols == nullptr || strings == nullptr) return false;
  const uint64_t count = section.value(bytes) / sizeof *slots;
  const uint64_t relative = table == DT_RELA ? section.value(DT_RELACOUNT) : 0;  // they come first, and name nobody
  for (uint64_t i = relative; i < count; ++i) {
    const auto& symbol = symbols[slots[i].r_info >> 32];
    if (symbol.st_shndx != SHN_UNDEF || symbol.st_name == 0) continue;
    if (visit(strings + symbol.st_name, object.dlpi_addr + slots[i].r_offset)) return true;
  }
  return false;
}

bool calls_elsewhere(const dl_phdr_info& object) {
  if (DynamicSection(object).value(DT_PLTREL) != DT_RELA) return false;
  return any_import(object, DT_JMPREL, DT_PLTRELSZ, [&](const char* name, uintptr_t slot) {
    return is_one_of_ours(name) && leads_elsewhere(*reinterpret_cast<void* const*>(slot), object);
  });
}

bool contains(const char* text, const char* word) {
  for (; *text != '\0'; ++text) {
    if (starts_with(text, word)) return true;
  }
  return false;
}

// Of jemalloc's these, and what mimalloc has from BSD; of tcmalloc's and mimalloc's what allocates or frees by its
// name.
bool is_own_interface(const char* name) {
  for (const char* each : {"mallocx", "rallocx", "xallocx", "dallocx", "sdallocx", "reallocf", "reallocarr"}) {
    if (equal(name, each)) return true;
  }
  if (!starts_with(name, "tc_") && !starts_with(name, "mi_")) return false;
  for (const char* each : {"size", "stat", "mode", "register"}) {
    if (contains(name, each)) return false;
  }
  for (const char* each : {"alloc", "align", "new", "dup", "free", "delete"}) {
    if (contains(name, each)) return true;
  }
  return false;
}

bool imports_own_interface(const dl_phdr_info& object) {
  const Object home = {home_of_next(), ""};
  if (object.dlpi_phdr == home.base || object.dlpi_phdr == object_of(__ehdr_start).base) return false;
  const auto is_homes = [&](const char* name, uintptr_t) {
    return is_own_interface(name) && function_of(home, name) != nullptr;
  };
  return any_import(object, DT_JMPREL, DT_PLTRELSZ, is_homes) || any_import(object, DT_RELA, DT_RELASZ, is_homes);
}

struct Search {
  bool (*asks)(const dl_phdr_info& object);
  bool latecomers;
  uint64_t position;
  bool found;
};

int look_at(dl_phdr_info* object, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  if (search->latecomers && search->position == 0 && object->dlpi_adds == at_start.adds) return 1;
  if (!search->latecomers || search->position >= at_start.count) search->found = search->asks(*object);
  ++search->position;
  return search->found ? 1 : 0;
}

bool any_object(bool (*asks)(const dl_phdr_info& object), bool latecomers) {
  Search search = {asks, latecomers, 0, false};
  dl_iterate_phdr(look_at, &search);
  return search.found;
}

}  // namespace

void remember_loaded() { dl_iterate_phdr(count_object, &at_start); }

bool has_other_namespaces() {
  if (debug == nullptr || debug->r_version < 2) return false;
  return reinterpret_cast<const r_debug_extended*>(debug)->r_next != nullptr;
}

bool binds_elsewhere() { return any_object(calls_elsewhere, true); }

bool calls_own_interface() { return any_object(imports_own_interface, false); }

bool latecomer_calls_own_interface() { return any_object(imports_own_interface, true); }

}  // namespace heapster::preload
