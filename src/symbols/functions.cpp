// SPDX-License-Identifier: MIT
//
// A function's entry contains entries of what was inlined into it, and those of what was inlined into that. The line of
// the innermost is the address's own; the line of each other is where the next one was called from.

#include "symbols/functions.h"

#include <dwarf.h>

#include <algorithm>

#include "symbols/demangle.h"

namespace heapster::symbols {

namespace {

constexpr size_t kMostInlined = 32;
constexpr int kMostNesting = 64;

using reader::Location;
using reader::Locations;

const char* linkage_name(Dwarf_Die& die) {
  for (const unsigned attribute : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    Dwarf_Attribute found;
    const char* name = dwarf_formstring(dwarf_attr_integrate(&die, attribute, &found));
    if (name != nullptr) return name;
  }
  return nullptr;
}

// The entry that says what the function is, of one that says where it is.
Dwarf_Die origin_of(Dwarf_Die die) {
  for (int left = kMostNesting; left > 0; --left) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    Dwarf_Attribute* found = dwarf_attr(&die, DW_AT_abstract_origin, &attribute);
    if (found == nullptr) found = dwarf_attr(&die, DW_AT_specification, &attribute);
    if (found == nullptr || dwarf_formref_die(found, &next) == nullptr) break;
    die = next;
  }
  return die;
}

// Calls visit(die) for each child.
template <class Visit>
void for_children(Dwarf_Die& die, Visit visit) {
  Dwarf_Die child;
  if (dwarf_child(&die, &child) != 0) return;
  do visit(child);
  while (dwarf_siblingof(&child, &child) == 0);
}

// Calls take(low, high) for each range of addresses of the entry.
template <class Take>
void for_ranges(Dwarf_Die& die, Take take) {
  Dwarf_Addr base, low, high;
  for (ptrdiff_t next = 0; (next = dwarf_ranges(&die, next, &base, &low, &high)) > 0;)
    if (low < high) take(low, high);
}

bool holds_functions(int tag) {
  return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
         tag == DW_TAG_union_type || tag == DW_TAG_module;
}

// What the entry adds to the names of those inside.
std::string scope_of(Dwarf_Die& die, int tag, const std::string& outer) {
  const char* name = dwarf_diename(&die);
  const bool nameless = name == nullptr && tag == DW_TAG_namespace;
  return name != nullptr || nameless ? outer + (nameless ? "(anonymous namespace)" : name) + "::" : outer;
}

// Calls take(die, scope) for each function of a unit.
template <class Take>
void for_functions(Dwarf_Die& die, int nesting, const std::string& scope, Take take) {
  if (nesting > kMostNesting) return;
  for_children(die, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    if (tag == DW_TAG_subprogram) take(child, scope);
    // A function may contain others: those of its classes, and of languages that nest.
    if (tag == DW_TAG_subprogram) for_functions(child, nesting + 1, scope, take);
    if (holds_functions(tag)) for_functions(child, nesting + 1, scope_of(child, tag, scope), take);
  });
}

// Adds what was inlined at the address to `chain`, outermost first.
void descend(Dwarf_Die die, Dwarf_Addr address, int nesting, std::vector<Dwarf_Die>& chain) {
  if (nesting > kMostNesting || chain.size() > kMostInlined) return;
  std::vector<Dwarf_Die> found;
  for_children(die, [&](Dwarf_Die& child) {
    const int tag = dwarf_tag(&child);
    const bool scope = tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block || tag == DW_TAG_try_block ||
                       tag == DW_TAG_catch_block;
    if (scope && found.empty() && dwarf_haspc(&child, address) > 0) found.push_back(child);
  });
  if (found.empty()) return;
  if (dwarf_tag(&found[0]) == DW_TAG_inlined_subroutine) chain.push_back(found[0]);
  descend(found[0], address, nesting + 1, chain);
}

// Compilers may tell files relative to where they were started.
std::string whole_path(Dwarf_Die& unit, const char* file) {
  Dwarf_Attribute attribute;
  const char* directory = file[0] != '/' ? dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute)) : nullptr;
  return directory != nullptr ? std::string(directory) + "/" + file : file;
}

void set_line(Location& location, Dwarf_Die& unit, Dwarf_Addr address) {
  Dwarf_Line* line = dwarf_getsrc_die(&unit, address);
  int number = 0;
  const char* file = line != nullptr ? dwarf_linesrc(line, nullptr, nullptr) : nullptr;
  if (file == nullptr || dwarf_lineno(line, &number) != 0) return;
  location.file = whole_path(unit, file);
  location.line = static_cast<uint32_t>(std::max(number, 0));
}

// Where `inlined` was called from.
void set_call(Location& location, Dwarf_Die& unit, Dwarf_Die& inlined) {
  Dwarf_Attribute attribute;
  Dwarf_Word file = 0, line = 0;
  Dwarf_Files* files = nullptr;
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_file, &attribute), &file) != 0) return;
  if (dwarf_formudata(dwarf_attr(&inlined, DW_AT_call_line, &attribute), &line) != 0) return;
  if (dwarf_getsrcfiles(&unit, &files, nullptr) != 0) return;
  const char* name = dwarf_filesrc(files, file, nullptr, nullptr);
  if (name == nullptr) return;
  location.file = whole_path(unit, name);
  location.line = static_cast<uint32_t>(line);
}

template <class Range>
void sort_ranges(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
}

}  // namespace

// Compilers need not say which addresses a unit covers in a table of its own (clang does not), so that the units
// themselves are asked.
void Functions::index_units() {
  indexed_ = true;
  for (Dwarf_Die* unit = nullptr; (unit = dwfl_module_nextcu(module_, unit, &bias_)) != nullptr;) {
    for_ranges(*unit, [&](Dwarf_Addr low, Dwarf_Addr high) { units_.push_back({low, high, *unit}); });
  }
  sort_ranges(units_);
}

const Functions::Ranges& Functions::functions_of(Dwarf_Die unit) {
  const auto [place, fresh] = functions_.try_emplace(dwarf_dieoffset(&unit));
  Ranges& ranges = place->second;
  if (!fresh) return ranges;
  for_functions(unit, 0, "", [&](Dwarf_Die& function, const std::string& scope) {
    if (!scope.empty() && linkage_name(function) == nullptr) scopes_[dwarf_dieoffset(&function)] = scope;
    for_ranges(function, [&](Dwarf_Addr low, Dwarf_Addr high) { ranges.push_back({low, high, function}); });
  });
  sort_ranges(ranges);
  return ranges;
}

// The last range that begins at or before the address; ranges of sound files do not overlap.
const Functions::Range* Functions::find(const Ranges& ranges, Dwarf_Addr address) const {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                [](Dwarf_Addr wanted, const Range& range) { return wanted < range.low; });
  if (after == ranges.begin()) return nullptr;
  const Range& range = *--after;
  return address < range.high ? &range : nullptr;
}

// What only its own unit sees has no name for linkers.
std::string Functions::name_of(Dwarf_Die& die) const {
  if (const char* name = linkage_name(die)) return demangle(name);
  const char* name = dwarf_diename(&die);
  if (name == nullptr) return "";
  Dwarf_Die origin = origin_of(die);
  const auto scope = scopes_.find(dwarf_dieoffset(&origin));
  return scope != scopes_.end() ? scope->second + name : name;
}

reader::Locations Functions::locations_of(std::vector<Dwarf_Die>& chain, Dwarf_Die& unit, Dwarf_Addr address) const {
  Locations locations;
  for (size_t i = chain.size(); i-- > 0;) {
    Location location;
    location.function = name_of(chain[i]);
    if (i + 1 == chain.size()) set_line(location, unit, address);
    if (i + 1 < chain.size()) set_call(location, unit, chain[i + 1]);
    if (!location.function.empty()) locations.push_back(std::move(location));
  }
  return locations;
}

reader::Locations Functions::at(uint64_t address) {
  if (!indexed_) index_units();
  const Dwarf_Addr in_dwarf = address - bias_;
  const Range* unit = find(units_, in_dwarf);
  if (unit == nullptr) return {};
  const Range* function = find(functions_of(unit->die), in_dwarf);
  if (function == nullptr) return {};
  std::vector<Dwarf_Die> chain{function->die};
  descend(function->die, in_dwarf, 0, chain);
  Dwarf_Die unit_die = unit->die;
  return locations_of(chain, unit_die, in_dwarf);
}

}  // namespace heapster::symbols
