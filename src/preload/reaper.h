// SPDX-License-Identifier: MIT
//
// Dead segments and descendants' snapshots lie in memory; nobody may ever come for them. About
// one start in 64 looks, and removes what is too old or too much.

#pragma once

#include <cstdint>

namespace heapster::preload {

// Removes files of dead processes of this pid-namespace from the open run directory.
void reap_dead(int directory, uint64_t pid_namespace);

}  // namespace heapster::preload
