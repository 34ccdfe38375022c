// SPDX-License-Identifier: MIT
//
// Where snapshots go: HEAPSTER_OUT's pattern, expanded once at the start to absolute paths, because
// a program may change its directory, its host name or its root before its end.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"
#include "preload/text.h"

namespace heapster::preload {

inline constexpr size_t kPathRoom = 4096;

// `root`: the program is the root of what is measured, and may write where it works; others write
// into the run directory, unless HEAPSTER_OUT was set and heapster-run is not there to collect.
void choose_snapshot_paths(const Identity& identity, const char* executable, bool root);

const char* snapshot_path();  // empty: none at exit
const char* dump_path();      // of snapshots on the signal, before their number

// "dir/a.heap" and 7 make "dir/a.7.heap".
void add_numbered(TextBuilder& text, const char* path, uint64_t number);

}  // namespace heapster::preload
