// SPDX-License-Identifier: MIT
//
// Work that must do with so much memory, in a child.

#pragma once

#include <cstddef>
#include <functional>

namespace heapster::test {

// Whether it came to its end with no more than so many bytes above what the process has. A sanitizer's own memory
// cannot be told apart, so that there it only has to work.
bool does_with(size_t bytes, const std::function<bool()>& work);

}  // namespace heapster::test
