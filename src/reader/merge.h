// SPDX-License-Identifier: MIT
//
// Slots → numbers. Totals are plain sums over all slots ever used, threads are what each slot's
// present owner did, in all its scopes.

#pragma once

#include "reader/directory.h"
#include "reader/snapshot.h"

namespace heapster::reader {

// Fills stats and, where all is asked for, threads and scopes. Peaks and live-at-fork cells come from the directory's
// header and sections, the rest from the slots.
Result<Done> merge_slots(const Source& source, const Directory& directory, Depth depth, Snapshot& snapshot);

// The arenas that have a name.
Result<std::vector<Arena>> read_arenas(const Source& source, const Section& section);

// The cells of a section; unknown where the file lacks it.
Result<Histogram> read_cells(const Source& source, const Section& section);

}  // namespace heapster::reader
