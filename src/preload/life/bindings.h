// SPDX-License-Identifier: MIT
//
// Looking for calls that cannot reach us although we stand first: those of another link namespace
// (dlmopen), of plugins whose names are bound to what they brought along (RTLD_DEEPBIND), and those of functions that
// an allocator has beside malloc.

#pragma once

namespace heapster::preload {

// Remembers what is loaded at the start: all of that is bound to us.
void remember_loaded();

// Whether an object calls functions of the next allocator's own that allocate or free: mallocx, tc_malloc, mi_malloc.
// That may be any, or only those that came later than the start, for which the same holds as for binds_elsewhere().
bool calls_own_interface();
bool latecomer_calls_own_interface();

// Whether there is, or was, another link namespace. Reads three words; may be called anywhere.
bool has_other_namespaces();

// Whether an object that came later calls another malloc, calloc, realloc or free. Takes the loader's
// lock, so it is for the exit only; looks at nothing if nothing was loaded.
bool binds_elsewhere();

}  // namespace heapster::preload
