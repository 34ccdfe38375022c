// SPDX-License-Identifier: MIT
//
// The shared objects that a measured program is started with.

#pragma once

#include <string>

#include "reader/result.h"

namespace heapster::tool {

// libheapster.so, or libheapster-new.so, beside this executable or where it was installed.
reader::Result<std::string> find_preload(bool counts_operators);

// The allocator that a name (jemalloc, mimalloc, tcmalloc) or a path means.
reader::Result<std::string> find_allocator(const std::string& name);

// LD_PRELOAD with us first, the allocator (or "") after us, and what was there before behind, but for
// a heapster library of an outer heapster-run.
reader::Result<std::string> preload_list(const std::string& preload, const std::string& allocator);

// Whether the program's operator new will be an allocator's own, with this allocator (or "") and
// LD_PRELOAD: the dynamic linker is asked which objects it would load, in its order.
bool brings_own_new(const std::string& program, const std::string& allocator);

}  // namespace heapster::tool
