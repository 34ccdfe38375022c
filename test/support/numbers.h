// SPDX-License-Identifier: MIT
//
// Numbers by the names that users know them by, from snapshots and from what a program printed.

#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "reader/snapshot.h"

namespace heapster::test {

// A figure of counters.def; a test failure where there is none of that name.
int64_t figure(const reader::Stats& stats, const std::string& name);
int64_t figure(const reader::Snapshot& snapshot, const std::string& name);

// "name value" lines.
std::map<std::string, int64_t> facts(const std::string& text);

// Blocks that live now, or were allocated, in the bucket of a size.
int64_t allocated_in_bucket_of(const reader::Snapshot& snapshot, uint64_t size);

bool has_note(const reader::Snapshot& snapshot, const std::string& name);

}  // namespace heapster::test
