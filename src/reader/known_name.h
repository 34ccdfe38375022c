// SPDX-License-Identifier: MIT
//
// What people call a process: its first word, and behind an interpreter's the script that this runs.

#pragma once

#include <string>

#include "reader/snapshot.h"

namespace heapster::reader {

// Text of the process's own: to be shown as such.
std::string known_name(const Process& process);

}  // namespace heapster::reader
