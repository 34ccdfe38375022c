// SPDX-License-Identifier: MIT
//
// Names of one object are looked up in a process of its own. Whoever made the object, or the snapshot that names it,
// chose what is read there: a symbol may take hours to decode, a section of some kilobytes may unfold to gigabytes, and
// a file that is cut while it is mapped ends who reads it. So the helper has limits of memory and time, it may die, and
// that costs the names of this object alone.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace heapster::symbols {

struct Limits {
  uint64_t bytes = uint64_t{512} << 20;  // beside what its files take: see allow_memory_for
  int seconds = 60;                      // of processor time; twice as many may pass
  uint64_t said = uint64_t{128} << 20;   // bytes that it may say
};

// In a helper: says a line, which must not contain a line's end.
using Say = std::function<void(const std::string& line)>;
// Does the work in a child, and hands each line that it says to `take`. Returns why it did not come to its end, in
// words that follow the object's name; empty where all is well.
std::string in_helper(const Limits& limits, const std::function<void(const Say&)>& work,
                      const std::function<void(const std::string& line)>& take);

// In a helper: debug information may be as large as a file is, and takes some times that once it is unpacked. Counts
// what the file holds, not how long it says that it is.
void allow_memory_for(int descriptor);

}  // namespace heapster::symbols
