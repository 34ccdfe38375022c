// SPDX-License-Identifier: MIT
//
// The line of progress is on standard error, only if that is a terminal, and gone when the work is done.

#include "symbol_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include "report/units.h"

namespace heapster::tool {

namespace {

symbols::Options to_options(const SymbolOptions& options, bool to_terminal) {
  symbols::Options result;
  result.places = {options.sysroot, options.debug_directories};
  if (!options.no_cache) result.cache = symbols::default_cache_directory();
  if (to_terminal)
    result.progress = [](const std::string& object, size_t done, size_t all) {
      fmt::print(stderr, "\r\033[Knames of {} ({} of {})", report::printable(object), done + 1, all);
    };
  return result;
}

}  // namespace

void add_symbol_options(CLI::App& application, SymbolOptions& options) {
  application.add_option("--sysroot", options.sysroot, "where the measured machine's files lie")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIRECTORY");
  application.add_option("--debug-dir", options.debug_directories, "separate debug files, by build id; repeatable")
      ->check(CLI::ExistingDirectory)
      ->type_name("DIRECTORY")
      ->allow_extra_args(false);
  application.add_flag("--no-cache", options.no_cache, "neither use nor keep names in ~/.cache/heapster");
}

ProgressSymbolizer::ProgressSymbolizer(const SymbolOptions& options)
    : to_terminal_(isatty(STDERR_FILENO) != 0), symbolizer_(to_options(options, to_terminal_)) {}

reader::Names ProgressSymbolizer::names(const reader::Stacks& stacks) {
  reader::Names names = symbolizer_.names(stacks);
  if (to_terminal_) fmt::print(stderr, "\r\033[K");
  return names;
}

}  // namespace heapster::tool
