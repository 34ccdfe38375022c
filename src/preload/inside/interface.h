// SPDX-License-Identifier: MIT
//
// What a program is handed that asks from inside.

#pragma once

#include <cstddef>

#include "heapster/interface.h"

namespace heapster::preload {

// Null for a version or a set of figures that is not ours.
const heapster_interface_v1* find_interface(unsigned version, size_t stats_bytes);

// In a fork's child: nothing was reset.
void forget_baseline();

}  // namespace heapster::preload
