// SPDX-License-Identifier: MIT
//
// Rust goes first: its older mangling is C++'s with a hash behind, and C++'s demangler would show that hash.
//
// A name of a few hundred characters may stand for one of gigabytes, so it is taken piece by piece, and left as soon as
// there is enough.

#include "symbols/demangle.h"

#include <libiberty/demangle.h>

#include <algorithm>
#include <csetjmp>

namespace heapster::symbols {

namespace {

constexpr size_t kMostCharacters = 4096;

struct Piecewise {
  char text[kMostCharacters];
  size_t size = 0;
  std::jmp_buf enough;
};

// Neither demangler has a way to stop it; both are C, and own no memory while they print.
void take(const char* piece, size_t bytes, void* to) {
  auto& name = *static_cast<Piecewise*>(to);
  const size_t taken = std::min(bytes, kMostCharacters - name.size);
  std::copy_n(piece, taken, name.text + name.size);
  name.size += taken;
  if (name.size == kMostCharacters) std::longjmp(name.enough, 1);
}

bool demangle_into(Piecewise& name, const char* mangled) {
  if (setjmp(name.enough) != 0) return true;
  if (rust_demangle_callback(mangled, DMGL_PARAMS, take, &name)) return true;
  name.size = 0;
  if (mangled[0] != '_' || mangled[1] != 'Z') return false;
  return cplus_demangle_v3_callback(mangled, DMGL_PARAMS | DMGL_TYPES, take, &name);
}

}  // namespace

std::string demangle(const char* name) {
  Piecewise pieces;
  std::string result = demangle_into(pieces, name) ? std::string(pieces.text, pieces.size) : name;
  if (result.size() > kMostCharacters) result.resize(kMostCharacters);
  std::replace_if(
      result.begin(), result.end(), [](unsigned char c) { return c < ' '; }, '?');
  return result;
}

}  // namespace heapster::symbols
