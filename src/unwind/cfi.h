// SPDX-License-Identifier: MIT
//
// Reads the call frame information (.eh_frame, found by the search table in .eh_frame_hdr) that every
// x86-64 object carries for exceptions. Only memory of the loaded object is read; nothing is allocated, called or
// locked.

#pragma once

#include <cstdint>

#include "unwind/row.h"

namespace heapster::unwind {

// The row for an address, from an object's .eh_frame_hdr; base kStop where there is none, or one that needs more
// than a row says.
Row find_row(const uint8_t* eh_frame_hdr, uintptr_t address);

}  // namespace heapster::unwind
