// SPDX-License-Identifier: MIT
//
// Where names of functions come from, as options of a command line, and a symbolizer that tells a terminal how far it
// is.

#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "symbols/symbolizer.h"

namespace heapster::tool {

struct SymbolOptions {
  std::string sysroot;
  std::vector<std::string> debug_directories;
  bool no_cache = false;
};

// --sysroot, --debug-dir and --no-cache. `options` must outlive the parsing.
void add_symbol_options(CLI::App& application, SymbolOptions& options);

class ProgressSymbolizer {
 public:
  explicit ProgressSymbolizer(const SymbolOptions& options);

  // `stacks` must outlive the names.
  reader::Names names(const reader::Stacks& stacks);
  const std::vector<std::string>& troubles() const { return symbolizer_.troubles(); }

 private:
  bool to_terminal_;
  symbols::Symbolizer symbolizer_;
};

}  // namespace heapster::tool
