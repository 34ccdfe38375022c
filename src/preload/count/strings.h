// SPDX-License-Identifier: MIT
//
// strdup and strndup upon malloc, as libc's are, in the place of an allocator's own.

#pragma once

#include "preload/next/next.h"

namespace heapster::preload {

void replace_strdups(const NextFacts& facts);

}  // namespace heapster::preload
