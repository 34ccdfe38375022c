// SPDX-License-Identifier: MIT
//
// How the preload says that something is amiss: it counts a note. They are kept in private memory
// until there is a segment to carry them, and never printed.

#pragma once

#include "layout/segment.h"

namespace heapster::preload {

// Counts an occurrence; from any thread, at any time.
void raise(Note note);

// From now on notes go into this header, with those counted so far.
void keep_notes_in(Header* header);

}  // namespace heapster::preload
