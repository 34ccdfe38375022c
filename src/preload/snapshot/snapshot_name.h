// SPDX-License-Identifier: MIT
//
// Where snapshots go: HEAPSTER_OUT's pattern, expanded once at the start to absolute paths, because
// a program may change its directory, its host name or its root before its end. Somebody else may change where such a
// path leads, too; so the directory is remembered as well, and nothing is written into another one.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"
#include "preload/base/held_directory.h"
#include "preload/base/text.h"

namespace heapster::preload {

// `root`: the program is the root of what is measured, and may write where it works; others write
// into the run directory, unless HEAPSTER_OUT was set and heapster-run is not there to collect.
void choose_snapshot_paths(const Identity& identity, const char* executable, bool root);

const char* snapshot_path();  // empty: none at exit
const char* dump_path();      // of snapshots on the signal, before their number

// What an earlier image of this process would call its snapshot, by the pattern in force now. It stays until the
// strings that pass are forgotten; empty where it is too long.
const char* name_of_earlier(const Identity& earlier, const char* executable, bool root);

// The directory part of a path, "." where it has none.
void add_directory_of(TextBuilder& text, const char* path);
// That of the two paths, as it was at the start.
const DirectoryIdentity& snapshot_directory();

// "dir/a.heap" and 7 make "dir/a.7.heap".
void add_numbered(TextBuilder& text, const char* path, uint64_t number);

}  // namespace heapster::preload
