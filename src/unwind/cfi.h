// SPDX-License-Identifier: MIT
//
// Reads the call frame information (.eh_frame, found by the search table in .eh_frame_hdr) that every
// x86-64 object carries for exceptions. Nothing is allocated, called or locked. What the tables say is not believed: a
// packed or damaged object's may say anything, and nothing outside them is read.

#pragma once

#include <cstdint>

#include "unwind/row.h"

namespace heapster::unwind {

// Where an object's unwind tables lie, and what may be read: the segment that they are in.
struct Tables {
  const uint8_t* header;  // .eh_frame_hdr; null: there is none
  const uint8_t* begin;
  const uint8_t* end;
};

// The row for an address; base kStop where there is none, or one that needs more than a row says.
Row find_row(const Tables& tables, uintptr_t address);

}  // namespace heapster::unwind
