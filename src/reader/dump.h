// SPDX-License-Identifier: MIT
//
// A snapshot from outside: copies the used parts of a segment to a file, without touching the
// process and without writing its holes. A copy that cannot be read back is none: it is removed again, and an error
// says so, so that nobody removes the original for its sake.

#pragma once

#include <string>

#include "reader/result.h"
#include "reader/snapshot.h"
#include "reader/source.h"

namespace heapster::reader {

// A name in an open directory (AT_FDCWD: a path), and what messages call it.
struct Target {
  int directory;
  std::string name;
  std::string path;
  bool replaces;  // false: a file that is there stays, and the copy fails with EEXIST
};

// Written under a temporary name beside the target and renamed, so that half a file is never seen. `path` is what
// messages call the segment. After a failure errno tells why. What a witness knows is told in the copy where the
// process itself told no end.
Result<Done> dump(const FileSource& segment, const std::string& path, const Target& to,
                  const Witness* witness = nullptr);
Result<Done> dump(const std::string& segment, const std::string& to, const Witness* witness = nullptr);

}  // namespace heapster::reader
