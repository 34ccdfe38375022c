// SPDX-License-Identifier: MIT
//
// Room for what a start and an end need for a moment. One thread makes them, and its stack may be a small one. They all
// share it, since each page that a start touches costs it microseconds; so it holds nothing across a call.

#pragma once

#include <cstddef>

#include "preload/base/attributes.h"
#include "preload/base/text.h"

namespace heapster::preload {

struct Scratch {
  alignas(size_t) char bytes[kPathRoom + 64];
};
HEAPSTER_LOCAL inline constinit Scratch scratch = {};

}  // namespace heapster::preload
