// SPDX-License-Identifier: MIT
//
// What an earlier image of this process left: an exec keeps the segment's name.

#pragma once

#include "layout/segment.h"

namespace heapster::preload {

// If an earlier image left a segment: writes that image's snapshot, removes the segment, and returns true with that
// image's header.
bool save_earlier_image(int directory, const Identity& identity, bool is_root, Header& earlier);

}  // namespace heapster::preload
