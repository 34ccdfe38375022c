// SPDX-License-Identifier: MIT
//
// The run directory: which processes have a segment, and which file a user means.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reader/snapshot.h"
#include "reader/source.h"

namespace heapster::reader {

// HEAPSTER_RUN_DIR, or /dev/shm/heapster-<uid>.
std::string run_directory();

// The name of a segment: <pid namespace>-<pid>-<start ticks>, all decimal.
struct SegmentName {
  uint64_t pid_namespace;
  uint32_t pid;
  uint64_t start_ticks;
};
std::optional<SegmentName> parse_segment_name(const std::string& name);
bool is_segment(const std::string& name);
// One that is written: names that begin with a dot are files in the making.
bool is_snapshot(const std::string& name);

struct Found {
  std::string path;
  Snapshot snapshot;
};

// The segments of a directory, live ones first, then the latest first. A directory that is not
// there is an empty one, and one that is not ours alone an error (held_directory.h); files that cannot be read come
// back as lines in `refused`.
struct Listing {
  std::vector<Found> found;
  std::vector<std::string> refused;
};
Result<Listing> list(const std::string& directory, Depth depth = Depth::kAll);
// And those that any other live process has mapped: another user's, of another run directory, namespace or root.
Result<Listing> list_everywhere(const std::string& directory, Depth depth = Depth::kAll);

// The same for the snapshots (.heap) that descendants left there.
Result<Listing> list_snapshots(const std::string& directory);

// The file that an argument means: digits only is a PID, anything else is a path. A PID is a process as we number
// it: its live segment, wherever that is; where there is no such process, the last that one of that number left in the
// directory.
Result<std::string> resolve(const std::string& argument, const std::string& directory);

}  // namespace heapster::reader
