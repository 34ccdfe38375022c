// SPDX-License-Identifier: MIT
//
// Work that must do with so much memory, in a child.

#pragma once

#include <cstddef>
#include <functional>

namespace heapster::test {

// A sanitizer's allocator takes memory of its own, and ends the process where it gets none.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Whether it came to its end with no more than so many bytes above what the process has. Under a
// sanitizer it only has to work.
bool does_with(size_t bytes, const std::function<bool()>& work);

}  // namespace heapster::test
