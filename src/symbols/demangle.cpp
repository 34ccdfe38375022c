// SPDX-License-Identifier: MIT
//
// Rust goes first: its older mangling is C++'s with a hash behind, and C++'s demangler would show that hash.

#include "symbols/demangle.h"

#include <cxxabi.h>
#include <libiberty/demangle.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace heapster::symbols {

namespace {

constexpr size_t kMostCharacters = 4096;

using Text = std::unique_ptr<char, void (*)(void*)>;

}  // namespace

std::string demangle(const char* name) {
  Text text(rust_demangle(name, DMGL_PARAMS), std::free);
  if (!text && name[0] == '_' && name[1] == 'Z') text.reset(abi::__cxa_demangle(name, nullptr, nullptr, nullptr));
  std::string result = text ? text.get() : name;
  if (result.size() > kMostCharacters) result.resize(kMostCharacters);
  std::replace_if(
      result.begin(), result.end(), [](unsigned char c) { return c < ' '; }, '?');
  return result;
}

}  // namespace heapster::symbols
