// SPDX-License-Identifier: MIT
//
// Dead segments and descendants' snapshots lie in memory; nobody may ever come for them. Starting processes remove what
// is too old or too much:
//   - what is older than a day;
//   - the oldest of what goes beyond 1,024 files, 64 MiB, an eighth of the file system, or half of what is free there;
//   but
//     nothing younger than a minute, since somebody may be about to collect it. Where room or files are short it is two
//     seconds, and where the file system is all but full, any age.
// One start in 64 looks, or in a quarter of the number of files; more often where room is short. So a start costs the
// same whatever lies there.

#pragma once

#include "layout/segment.h"

namespace heapster::preload {

// Removes files of dead processes of this PID namespace from the open run directory.
void tidy(int directory, const Identity& identity);

}  // namespace heapster::preload
