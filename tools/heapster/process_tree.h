// SPDX-License-Identifier: MIT
//
// The processes that a measured one started, as far as they left files.

#pragma once

#include <functional>
#include <string>

#include "reader/result.h"
#include "reader/snapshot.h"

namespace heapster::tool {

// Shows them one by one: of a snapshot those in the directory beside it, where heapster-run put them, and of a segment
// those in the run directory. An error where one cannot be read.
reader::Result<reader::Done> each_descendant(const std::string& path, const reader::Process& process,
                                             const std::function<void(const reader::Snapshot&)>& show);

}  // namespace heapster::tool
