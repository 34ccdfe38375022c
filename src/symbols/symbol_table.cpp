// SPDX-License-Identifier: MIT

#include "symbols/symbol_table.h"

#include <algorithm>

namespace heapster::symbols {

namespace {

constexpr int kLocal = 1;

bool is_code(const GElf_Sym& symbol) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  return type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE;
}

int rank_of(const GElf_Sym& symbol) {
  switch (GELF_ST_BIND(symbol.st_info)) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
      return 3;
    case STB_WEAK:
      return 2;
    default:
      return kLocal;
  }
}

}  // namespace

SymbolTable::SymbolTable(Dwfl_Module* module) : module_(module) {
  symbols_ = std::max(0, dwfl_module_getsymtab(module));
  for (int i = 0; i < symbols_; ++i) {
    GElf_Sym symbol;
    GElf_Addr value = 0;
    GElf_Word section = 0;
    const char* name = dwfl_module_getsym_info(module, i, &symbol, &value, &section, nullptr, nullptr);
    if (name == nullptr || *name == '\0' || section == SHN_UNDEF || section == SHN_ABS || !is_code(symbol)) continue;
    table_.push_back({value, value + symbol.st_size, 0, name, section, rank_of(symbol)});
  }
  std::stable_sort(table_.begin(), table_.end(), [](const Symbol& a, const Symbol& b) { return a.low < b.low; });
  uint64_t reach = 0;
  for (Symbol& symbol : table_) symbol.reach = reach = std::max(reach, symbol.high);
}

// Of those that are not local the nearest before the address, and of these the strongest and shortest; else of the
// local ones.
const SymbolTable::Symbol* SymbolTable::covering(size_t after, uint64_t address) const {
  const auto better = [](const Symbol& a, const Symbol& b) {
    if ((a.rank == kLocal) != (b.rank == kLocal)) return b.rank == kLocal;
    if (a.low != b.low) return a.low > b.low;
    const uint64_t length = a.high - a.low, other = b.high - b.low;
    return length < other ? a.rank >= b.rank : length == other && a.rank > b.rank;
  };
  const Symbol* best = nullptr;
  size_t first = after;
  while (first > 0 && table_[first - 1].reach > address) --first;
  for (size_t i = first; i < after; ++i) {
    const Symbol& symbol = table_[i];
    if (address < symbol.high && (best == nullptr || better(symbol, *best))) best = &symbol;
  }
  return best;
}

uint32_t SymbolTable::section_of(uint64_t address) const {
  GElf_Addr bias = 0;
  Elf_Scn* section = dwfl_module_address_section(module_, &address, &bias);
  return section != nullptr ? static_cast<uint32_t>(elf_ndxscn(section)) : uint32_t{SHN_UNDEF};
}

// A label counts up to the next one, where no function lies between it and the address.
const SymbolTable::Symbol* SymbolTable::label_before(size_t after, uint64_t address) const {
  const Symbol* best = nullptr;
  for (size_t i = after; i-- > 0 && (best == nullptr || table_[i].low == best->low);) {
    const Symbol& symbol = table_[i];
    if (symbol.low < table_[i].reach) break;
    if (symbol.low == symbol.high && (best == nullptr || symbol.rank >= best->rank)) best = &symbol;
  }
  return best != nullptr && best->section == section_of(address) ? best : nullptr;
}

const char* SymbolTable::at(uint64_t address) const {
  const auto place = std::upper_bound(table_.begin(), table_.end(), address,
                                      [](uint64_t wanted, const Symbol& symbol) { return wanted < symbol.low; });
  const auto after = static_cast<size_t>(place - table_.begin());
  const Symbol* found = covering(after, address);
  if (found == nullptr) found = label_before(after, address);
  return found != nullptr ? found->name : nullptr;
}

}  // namespace heapster::symbols
