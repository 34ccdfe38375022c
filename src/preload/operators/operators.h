// SPDX-License-Identifier: MIT
//
// Whether this library stands in front of operator new and delete, too: libheapster-new.so does (operators.cpp),
// libheapster.so does not (no_operators.cpp).

#pragma once

#include "preload/base/attributes.h"

namespace heapster::preload {

HEAPSTER_LOCAL extern const bool counts_operators;

// From now on what an allocator's own operator new would serve comes from malloc, which may refuse it; where libstdc++
// is there to ask.
void route_operators_through_malloc();

}  // namespace heapster::preload
