// SPDX-License-Identifier: MIT

#include "preload/base/objects.h"

#include <link.h>

#include <cstddef>
#include <cstdint>

#include "preload/base/dynamic_section.h"
#include "preload/base/text.h"

namespace heapster::preload {

namespace {

bool holds(const dl_phdr_info& object, uintptr_t address) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const auto& header = object.dlpi_phdr[i];
    if (header.p_type == PT_LOAD && address - (object.dlpi_addr + header.p_vaddr) < header.p_memsz) return true;
  }
  return false;
}

struct Search {
  uintptr_t address;
  Object found;
};

int visit(dl_phdr_info* object, size_t, void* data) {
  auto* search = static_cast<Search*>(data);
  if (!holds(*object, search->address)) return 0;
  search->found = {object->dlpi_phdr, object->dlpi_name};
  return 1;
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

struct OldHashTable {  // of the section .hash
  uint32_t buckets;
  uint32_t symbols;
};

// What an object exports.
class Exports {
 public:
  explicit Exports(const dl_phdr_info& object) : base_(object.dlpi_addr), section_(object) {
    section_.each([this](int64_t tag, uint64_t) {
      if (tag == DT_GNU_HASH) table_ = section_.pointer<HashTable>(tag);
      if (tag == DT_HASH) old_table_ = section_.pointer<OldHashTable>(tag);
      if (tag == DT_SYMTAB) symbols_ = section_.pointer<ElfW(Sym)>(tag);
      if (tag == DT_STRTAB) strings_ = section_.pointer<char>(tag);
      if (tag == DT_VERSYM) versions_ = section_.pointer<uint16_t>(tag);
    });
  }

  // A function that a call of another object may be bound to; null where there is none.
  const ElfW(Sym) * find(const char* name, uint32_t hash) const {
    if (symbols_ == nullptr || strings_ == nullptr) return nullptr;
    if (table_ != nullptr) return find_by_hash(name, hash);
    for (uint32_t i = 0; old_table_ != nullptr && i < old_table_->symbols; ++i) {
      if (is(symbols_[i], name)) return &symbols_[i];
    }
    return nullptr;
  }

  // Where it lies; null for an IFUNC, whose resolver only the loader may call.
  const void* address(const ElfW(Sym) & symbol) const {
    return type_of(symbol) == STT_FUNC ? reinterpret_cast<const void*>(base_ + symbol.st_value) : nullptr;
  }

 private:
  static int type_of(const ElfW(Sym) & symbol) { return symbol.st_info & 15; }

  const ElfW(Sym) * find_by_hash(const char* name, uint32_t hash) const {
    if (table_->buckets == 0 || table_->filter_words == 0) return nullptr;
    const uint64_t filter = table_->filter[hash / 64 % table_->filter_words];
    if ((filter >> hash % 64 & filter >> (hash >> table_->filter_shift) % 64 & 1) == 0) return nullptr;
    const auto* buckets = reinterpret_cast<const uint32_t*>(table_->filter + table_->filter_words);
    const uint32_t* chains = buckets + table_->buckets;
    for (uint32_t i = buckets[hash % table_->buckets]; i >= table_->first_symbol; ++i) {
      const uint32_t each = chains[i - table_->first_symbol];
      if ((each | 1) == (hash | 1) && is(symbols_[i], name)) return &symbols_[i];
      if ((each & 1) != 0) break;
    }
    return nullptr;
  }

  // One that is undefined has an address where a program at a fixed place takes it: that leads to others.
  bool is(const ElfW(Sym) & symbol, const char* name) const {
    return symbol.st_shndx != SHN_UNDEF && (type_of(symbol) == STT_FUNC || type_of(symbol) == STT_GNU_IFUNC) &&
           equal(strings_ + symbol.st_name, name) &&
           (versions_ == nullptr || is_wanted_version(versions_[&symbol - symbols_] & 0x7fff));
  }

  // Programs ask for functions of libc's or libstdc++'s versions. An object whose function has none serves them as
  // well, and so does one that has it as an older version, which dlsym does not find.
  bool is_wanted_version(uint16_t number) const {
    if (number <= VER_NDX_GLOBAL) return true;
    const auto* version = section_.pointer_by_offset<char>(DT_VERDEF);
    for (uint64_t i = section_.value(DT_VERDEFNUM); version != nullptr && i != 0; --i) {
      const auto* definition = reinterpret_cast<const ElfW(Verdef)*>(version);
      const auto* name = reinterpret_cast<const ElfW(Verdaux)*>(version + definition->vd_aux);
      if ((definition->vd_ndx & 0x7fff) == number) return starts_with(strings_ + name->vda_name, "GLIBC");
      version += definition->vd_next;
    }
    return false;
  }

  uintptr_t base_;
  DynamicSection section_;
  const HashTable* table_ = nullptr;
  const OldHashTable* old_table_ = nullptr;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* strings_ = nullptr;
  const uint16_t* versions_ = nullptr;
};

constexpr char kUntold = 0;  // stands for an IFUNC's address

struct Binding {
  const void* behind;
  Sought* first;
  size_t count;
  size_t open;
};

int look_into(dl_phdr_info* object, size_t, void* data) {
  auto* binding = static_cast<Binding*>(data);
  if (binding->behind != nullptr) {
    if (holds(*object, reinterpret_cast<uintptr_t>(binding->behind))) binding->behind = nullptr;
    return 0;
  }
  const Exports exports(*object);
  for (size_t i = 0; i < binding->count; ++i) {
    Sought& each = binding->first[i];
    if (each.found != nullptr) continue;
    const ElfW(Sym)* symbol = exports.find(each.name, gnu_hash(each.name));
    if (symbol == nullptr) continue;
    each.found = exports.address(*symbol);
    if (each.found == nullptr) each.found = &kUntold;
    --binding->open;
  }
  return binding->open == 0 ? 1 : 0;
}

struct Wanted {
  const void* base;
  const char* name;
  const void* found;
};

int look_into_one(dl_phdr_info* object, size_t, void* data) {
  auto* wanted = static_cast<Wanted*>(data);
  if (object->dlpi_phdr != wanted->base) return 0;
  const Exports exports(*object);
  const ElfW(Sym)* symbol = exports.find(wanted->name, gnu_hash(wanted->name));
  wanted->found = symbol != nullptr ? exports.address(*symbol) : nullptr;
  return 1;
}

}  // namespace

const void* function_of(const Object& object, const char* name) {
  Wanted wanted = {object.base, name, nullptr};
  dl_iterate_phdr(look_into_one, &wanted);
  return wanted.found;
}

void find_bound(Sought* first, size_t count, const void* behind) {
  Binding binding = {behind, first, count, count};
  dl_iterate_phdr(look_into, &binding);
  for (size_t i = 0; i < count; ++i) {
    if (first[i].found == &kUntold) first[i].found = nullptr;
  }
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

}  // namespace heapster::preload
