// SPDX-License-Identifier: MIT
//
// Which loaded object an address lies in, for the unwinder: its number among the modules, and its unwind tables.

#pragma once

#include <cstdint>

#include "unwind/capture.h"

namespace heapster::preload {

// The module is entered if it is new.
unwind::Place place_of(uintptr_t address);

// Looks up what the C library offers for that; false where it is too old (before 2.35).
bool prepare_places();

}  // namespace heapster::preload
