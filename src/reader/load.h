// SPDX-License-Identifier: MIT
//
// A file → a Snapshot. Live segments, those that a process left behind, and snapshots have one
// format and one way in.

#pragma once

#include <string>

#include "reader/snapshot.h"
#include "reader/source.h"
#include "reader/strangers.h"

namespace heapster::reader {

// Reads a file, asks the kernel whether its process still writes to it, and if so takes the
// threads' present names. An error is one line that begins with the path.
Result<Snapshot> load(const std::string& path, Links links = Links::kRefuse);
// The same, for many files: the processes are looked at once.
Result<Snapshot> load(const std::string& path, Strangers& strangers);
// And of one that is open; `path` is what messages call it.
Result<Snapshot> load(const FileSource& file, const std::string& path, Strangers& strangers, Depth depth = Depth::kAll);

// Adds what a witness knows of the process's end, where the process told no end itself.
void tell_end(Snapshot& snapshot, const Witness& witness);

// The same without the kernel: what the bytes alone say.
Result<Snapshot> load(const Source& source, Depth depth = Depth::kAll);

}  // namespace heapster::reader
