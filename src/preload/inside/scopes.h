// SPDX-License-Identifier: MIT
//
// Scopes: a thread that enters one writes to its shard for that scope until it leaves, and the hot path knows nothing
// of it. A scope is a path of names; all its shards stay its own, so that what a scope did can be added up.

#pragma once

#include <cstddef>
#include <cstdint>

namespace heapster::preload {

// Returns what leave_scope() needs to go back to where the thread was; 0 where it has no shard of its own. Where the
// scope cannot be had (too many, too long a path, no shard) the thread stays in its scope, and a note says so.
uint64_t enter_scope(const char* name, size_t bytes);
void leave_scope(uint64_t before);

}  // namespace heapster::preload
