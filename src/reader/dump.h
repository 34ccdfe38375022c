// SPDX-License-Identifier: MIT
//
// A snapshot from outside: copies the used parts of a segment to a file, without touching the
// process and without writing its holes.

#pragma once

#include <string>

#include "reader/result.h"

namespace heapster::reader {

// Written under a temporary name beside `to` and renamed, so that half a file is never seen.
Result<Done> dump(const std::string& segment, const std::string& to);

}  // namespace heapster::reader
