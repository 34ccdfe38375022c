// SPDX-License-Identifier: MIT
//
// Addresses → functions with files and lines, out of DWARF. libdw finds the scopes of an address by walking the whole
// compilation unit for each; here a unit's functions are indexed once, since a profile asks for thousands of addresses.

#pragma once

#include <elfutils/libdwfl.h>

#include <map>
#include <string>
#include <vector>

#include "reader/names.h"

namespace heapster::symbols {

class Functions {
 public:
  explicit Functions(Dwfl_Module* module) : module_(module) {}

  // Nothing where no function of the debug information covers the address (of the file).
  reader::Locations at(uint64_t address);

 private:
  struct Range {
    Dwarf_Addr low, high;
    Dwarf_Die die;  // a unit's, or a function's
  };
  using Ranges = std::vector<Range>;

  const Ranges& functions_of(Dwarf_Die unit);
  const Range* find(const Ranges& ranges, Dwarf_Addr address) const;
  void index_units();
  std::string name_of(Dwarf_Die& die) const;
  reader::Locations locations_of(std::vector<Dwarf_Die>& chain, Dwarf_Die& unit, Dwarf_Addr address) const;

  Dwfl_Module* module_;
  Dwarf_Addr bias_ = 0;
  bool indexed_ = false;
  Ranges units_;
  std::map<Dwarf_Off, Ranges> functions_;
  std::map<Dwarf_Off, std::string> scopes_;  // "shop::" of functions whose own entry tells their last name alone
};

}  // namespace heapster::symbols
