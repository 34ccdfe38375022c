// SPDX-License-Identifier: MIT
//
// The shared objects that a measured program is started with.

#pragma once

#include <string>

#include "reader/result.h"

namespace heapster::tool {

// libheapster.so, beside this executable or where it was installed.
reader::Result<std::string> find_preload();

// The allocator that a name (jemalloc, mimalloc, tcmalloc) or a path means.
reader::Result<std::string> find_allocator(const std::string& name);

// LD_PRELOAD with us first, the allocator (or "") after us, and what was there before behind.
reader::Result<std::string> preload_list(const std::string& preload, const std::string& allocator);

}  // namespace heapster::tool
