// SPDX-License-Identifier: MIT
//
// Addresses → names, out of an object's symbol tables. libdwfl looks through all symbols for each address; here they
// are put in order once, since a profile asks for thousands of addresses, of objects with a hundred thousand symbols.
// Which of several is told is what dwfl_module_addrinfo would tell.

#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <vector>

namespace heapster::symbols {

class SymbolTable {
 public:
  explicit SymbolTable(Dwfl_Module* module);

  // How many symbols the object has.
  int symbols() const { return symbols_; }
  // The name that linkers know the function at an address of the file by; null where none is known.
  const char* at(uint64_t address) const;

 private:
  struct Symbol {
    uint64_t low, high;  // high is low where the size is not told, as of labels in assembly
    uint64_t reach;      // the highest `high` up to here
    const char* name;
    uint32_t section;
    int rank;  // of names for the same place
  };

  const Symbol* covering(size_t after, uint64_t address) const;
  const Symbol* label_before(size_t after, uint64_t address) const;
  uint32_t section_of(uint64_t address) const;

  Dwfl_Module* module_;
  int symbols_ = 0;
  std::vector<Symbol> table_;  // by address
};

}  // namespace heapster::symbols
