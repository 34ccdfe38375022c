// SPDX-License-Identifier: MIT
//
// Looking for calls that cannot reach us although we stand first: those of another link namespace
// (dlmopen), and of plugins whose names are bound to what they brought along (RTLD_DEEPBIND).

#pragma once

namespace heapster::preload {

// Remembers what is loaded at the start: all of that is bound to us.
void remember_loaded();

// Whether there is, or was, another link namespace. Reads three words; may be called anywhere.
bool has_other_namespaces();

// Whether an object that came later calls another malloc, calloc, realloc or free. Takes the loader's
// lock, so it is for the exit only; looks at nothing if nothing was loaded.
bool binds_elsewhere();

}  // namespace heapster::preload
