// SPDX-License-Identifier: MIT
//
// A limit of live bytes (HEAPSTER_LIMIT, set_limit) and failures on purpose (HEAPSTER_FAIL). They cost the hot path
// nothing: where there is one, functions of ours stand in the table of the next allocator's, and refuse as that one
// would if memory ran out.
//
// live      usable bytes of this process, in a fork's child with what lived at the fork
// refused   NULL with ENOMEM; operator new makes bad_alloc of it
// reserve   once something was refused at the limit, calls for 4 KiB or less may use max(64 KiB, limit/64) beyond it,
//           so that the program can tell what happened to it
//
// One thread never passes the limit, but by what the allocator rounds one reallocation up. Several may, by
// kPublishBound each. Larger blocks are held against the limit while they are being allocated, so that two threads do
// not both take what is left for one; a thread that is stopped in the few instructions between letting go and counting
// is not seen, and lets another one pass with such a block.

#pragma once

#include <cstdint>

namespace heapster::preload {

// At the start, as the options say; and in a fork's child, which has the same limit for itself.
void start_limits();
void restart_limits();

// 0: no limit. False where more than that lives already, or where nothing is counted.
bool set_limit(uint64_t bytes);
uint64_t limit();      // 0: none
uint64_t remaining();  // bytes below the limit; UINT64_MAX: there is none

}  // namespace heapster::preload
