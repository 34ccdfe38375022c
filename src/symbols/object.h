// SPDX-License-Identifier: MIT
//
// One object, opened for looking names up: its own tables, and those of its separate debug file, by build id, by debug
// link, or through debuginfod where DEBUGINFOD_URLS is set. What the object says may be anything: see helper.h.

#pragma once

#include <elfutils/libdwfl.h>

#include <memory>
#include <optional>
#include <string>

#include "reader/names.h"
#include "symbols/find_object.h"
#include "symbols/functions.h"
#include "symbols/symbol_table.h"

namespace heapster::symbols {

// Whether debuginfod may be asked.
bool asks_servers();
void ask_no_more();

class Object {
 public:
  // `path` may be empty: then only debuginfod can help, by the build id.
  Object(const reader::Module& module, const std::string& path, const Places& places);

  // Whether there is anything to look names up in.
  bool opened() const { return module_ != nullptr; }
  // Whether there is debug information, and not symbols alone.
  bool has_lines() const { return functions_.has_value(); }
  // How many symbols its table has.
  int symbols();

  // Whether only root or we ourselves can have written what is read here. Anybody may give an object another one's
  // build id.
  bool trusted() const { return trusted_; }

  // The functions at an address of the file; nothing where none is known.
  reader::Locations at(uint64_t address);

 private:
  SymbolTable& table();
  void take_note_of_owner(int descriptor);
  static int find_debug(Dwfl_Module* module, void** object, const char* name, Dwarf_Addr base, const char* file,
                        const char* link, GElf_Word sum, char** found);

  const Places& places_;
  Dwfl_Callbacks callbacks_{};
  std::unique_ptr<Dwfl, void (*)(Dwfl*)> dwfl_{nullptr, dwfl_end};
  Dwfl_Module* module_ = nullptr;
  std::optional<Functions> functions_;
  std::optional<SymbolTable> table_;
  bool trusted_ = true;
};

}  // namespace heapster::symbols
