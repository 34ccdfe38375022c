// SPDX-License-Identifier: MIT

#pragma once

#include <string>

namespace heapster::reader {

// What stands behind the last '/'; all of it where there is none.
inline std::string last_part(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace heapster::reader
