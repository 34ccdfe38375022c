// SPDX-License-Identifier: MIT
//
// The tables of sampled stacks out of a file, for the loader and for the copier.

#pragma once

#include <optional>

#include "reader/directory.h"
#include "reader/source.h"
#include "reader/stacks.h"

namespace heapster::reader {

// Nothing where the program was not asked for stacks.
Result<std::optional<Stacks>> read_stacks(const Source& source, const Directory& directory);

}  // namespace heapster::reader
