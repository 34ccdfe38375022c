// SPDX-License-Identifier: MIT
//
// Snapshots: a copy of the segment's used parts as a file, by write(2) alone, so that it can be
// done in a signal handler or in the last moment of a program. Written under a temporary name
// and renamed, so that nobody ever sees half a file.

#pragma once

#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

// Time and usage as of now.
void stamp(Ending& ending);

// The snapshot at exit. False, with a note, where it could not be written.
bool write_exit_snapshot();

// The next numbered snapshot, for the signal.
void write_dump();

// The snapshot of an earlier image of this process, from its open segment file and its header. What that file says is
// no reason to write anywhere: the name is ours.
bool save_replaced(int fd, const Header& earlier, const Identity& identity, bool is_root);

// Files that a writer did not finish, when the process is about to end without it.
void remove_temporaries();

// In a fork's child: nobody is writing.
void restart_snapshots();

}  // namespace heapster::preload
