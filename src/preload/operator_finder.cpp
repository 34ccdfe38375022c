// SPDX-License-Identifier: MIT
//
// dlsym of a name that is nowhere allocates and leaves an error behind, and any look-up may cost the
// program an error that it has not read yet. So the constructor looks for all of them at once, before
// main, and for no other where the plainest one is missing. What it does not find is looked for when
// it is called.

#include "preload/operator_finder.h"

#include "preload/libc.h"
#include "preload/next.h"
#include "preload/objects.h"
#include "preload/process.h"

namespace heapster::preload {

namespace {

constexpr int kLazyIfLoaded = 1 | 4;  // RTLD_LAZY | RTLD_NOLOAD

constinit bool none_behind_us = false;

const void* home_of(const void* function) { return object_of(function).base; }

bool keep(Operator& which, void* found) {
  if (found == nullptr || home_of(found) == home_of(own_malloc())) return false;
  const bool beside_malloc = home_of(found) == home_of_next();
  which.way = beside_malloc ? Way::kProbation : Way::kVerbatim;
  __atomic_store_n(&which.next, found, __ATOMIC_RELEASE);
  return true;
}

void* look_up(void* handle, const char* name) {
  void* found = dlsym(handle, name);
  if (found == nullptr) dlerror();  // the program's first dlerror() must not tell of our look-up
  return found;
}

// In the scope of a loaded object. The one that defines the operator stays loaded from then on.
bool find_in(Operator& which, const char* path) {
  void* handle = path[0] != '\0' ? dlopen(path, kLazyIfLoaded) : nullptr;
  if (handle == nullptr) {
    dlerror();
    return false;
  }
  void* found = look_up(handle, which.name);
  if (found != nullptr && dlopen(object_of(found).path, kLazyIfLoaded) == nullptr) dlerror();
  dlclose(handle);
  return keep(which, found);
}

}  // namespace

bool find_behind_us(Operator& which) {
  const KeepErrno keep_errno;
  return keep(which, look_up(kNext, which.name));
}

void find_none_behind_us() { none_behind_us = true; }

void* find_for_caller(Operator& which, void* otherwise, const void* caller) {
  const KeepErrno keep_errno;
  const bool found = (!none_behind_us && find_behind_us(which)) || find_in(which, object_of(caller).path) ||
                     find_in(which, "libstdc++.so.6");
  if (!found) __atomic_store_n(&which.next, otherwise, __ATOMIC_RELEASE);
  return which.next;
}

}  // namespace heapster::preload
