// SPDX-License-Identifier: MIT
//
// Names as linkers see them → names as people write them.

#pragma once

#include <string>

namespace heapster::symbols {

// C++ and both of Rust's manglings; any other name stays as it is. One line, of bounded length.
std::string demangle(const char* name);

}  // namespace heapster::symbols
