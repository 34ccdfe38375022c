// SPDX-License-Identifier: MIT
//
// The next operator new or delete of each form: found as the next malloc is, or, where no object
// behind us defines it (a C program that loads a C++ plugin), in the scope of whoever calls it.

#pragma once

#include <cstdint>

#include "preload/base/words.h"

namespace heapster::preload {

// Who counts what goes through an operator.
enum class Way : uint32_t {
  kVerbatim,   // the C functions underneath, which are ours: libstdc++'s, or a program's own
  kProbation,  // it lies beside the next malloc; whether it comes back through ours is to be seen
  kOwn,        // the operator's hook: it goes past the C functions
};

struct Operator {
  const char* name;
  void* next;  // null until it is found
  Way way;
  uint32_t agreed;  // how often in a row it went past the C functions
};

// Finds the operator that stands behind us, if there is one.
bool find_behind_us(Operator& which);

// Puts libstdc++'s operator, which calls malloc, in the place of one that an allocator brought; where it can be had.
void find_through_malloc(Operator& which);

// There is none of any form, so nobody has to look there again.
void find_none_behind_us();

// Finds it for a caller, or settles for `otherwise`, a function of ours that does without.
void* find_for_caller(Operator& which, void* otherwise, const void* caller);

inline void* next_of(Operator& which, void* otherwise, const void* caller) {
  void* found = __atomic_load_n(&which.next, __ATOMIC_ACQUIRE);
  return found != nullptr ? found : find_for_caller(which, otherwise, caller);
}

}  // namespace heapster::preload
