// SPDX-License-Identifier: MIT
//
// dlsym of a name that is nowhere allocates and leaves an error behind, and any look-up may cost the
// program an error that it has not read yet. So the constructor looks for all of them at once, before
// main, and for no other where the plainest one is missing. What it does not find is looked for when
// it is called.

#include "preload/operators/operator_finder.h"

#include "preload/base/libc.h"
#include "preload/base/objects.h"
#include "preload/base/thread_state.h"
#include "preload/count/recorder.h"
#include "preload/next/next.h"

namespace heapster::preload {

namespace {

constexpr int kLazyIfLoaded = 1 | 4;  // RTLD_LAZY | RTLD_NOLOAD

constinit bool none_behind_us = false;

// What our own look-ups allocate is not the program's, and nobody's to refuse. It comes from the next allocator, which
// has to be known by then.
class Looking {
 public:
  Looking() {
    home_of_next();
    thread_state.resolving = true;
  }
  ~Looking() { thread_state.resolving = false; }
  Looking(const Looking&) = delete;
  Looking& operator=(const Looking&) = delete;

 private:
  const KeepErrno keep_errno_;
};

const void* home_of(const void* function) { return object_of(function).base; }

bool keep(Operator& which, void* found) {
  if (found == nullptr || is_ours(found)) return false;
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

void* look_behind_us(const char* name) {
  if (dlsym != nullptr) return look_up(kNext, name);
  Sought sought = {name};
  find_bound(&sought, 1, __ehdr_start);
  return const_cast<void*>(sought.found);
}

// In the scope of a loaded object. The one that defines the operator stays loaded from then on.
bool find_in(Operator& which, const char* path) {
  if (dlopen == nullptr) return false;
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
  const Looking looking;
  return keep(which, look_behind_us(which.name));
}

// Calls that are under way have either operator at hand, so it is on probation once more: each call looks for itself
// who counted it.
void find_through_malloc(Operator& which) {
  const Looking looking;
  Operator theirs = {which.name, nullptr, Way::kVerbatim, 0};
  if (which.next == nullptr || which.way == Way::kVerbatim || !find_in(theirs, "libstdc++.so.6")) return;
  store(which.agreed, 0u);
  store(which.way, Way::kProbation);
  __atomic_store_n(&which.next, theirs.next, __ATOMIC_RELEASE);
}

void find_none_behind_us() { none_behind_us = true; }

HEAPSTER_ALIGNS_STACK void* find_for_caller(Operator& which, void* otherwise, const void* caller) {
  const Looking looking;
  const bool found = (!none_behind_us && keep(which, look_behind_us(which.name))) ||
                     find_in(which, object_of(caller).path) || find_in(which, "libstdc++.so.6");
  if (!found) __atomic_store_n(&which.next, otherwise, __ATOMIC_RELEASE);
  return which.next;
}

}  // namespace heapster::preload
