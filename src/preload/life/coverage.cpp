// SPDX-License-Identifier: MIT

#include "preload/life/coverage.h"

#include <elf.h>
#include <sys/auxv.h>

#include "preload/base/notes.h"
#include "preload/base/objects.h"
#include "preload/life/bindings.h"
#include "preload/next/early_arena.h"
#include "preload/operators/operators.h"

namespace heapster::preload {

namespace {

constinit uint64_t lasting_notes = 0;

void raise_lasting(Note note) {
  raise(note);
  lasting_notes |= uint64_t{1} << static_cast<uint32_t>(note);
}

// Set while the next allocator's operator new goes past us, but nobody is there to call it.
constinit bool awaiting_cplusplus = false;
constinit bool forked = false;
constinit bool own_interface_possible = false;  // libc has none

void note_bypassed_new() {
  awaiting_cplusplus = !speaks_cplusplus(home_of_next());
  if (!awaiting_cplusplus) raise_lasting(Note::k_new_bypasses_malloc);
}

// Who serves the program's calls, if not us.
void note_who_is_first() {
  Sought first = {"malloc"};
  find_bound(&first, 1, nullptr);
  if (is_ours(first.found)) return;
  const void* executable = object_of(reinterpret_cast<const void*>(getauxval(AT_PHDR))).base;
  raise_lasting(object_of(first.found).base == executable ? Note::k_executable_defines_malloc
                                                          : Note::k_allocator_before_us);
}

}  // namespace

void note_coverage(const NextFacts& facts) {
  note_who_is_first();
  if (valgrind_takes_malloc()) raise_lasting(Note::k_allocator_before_us);
  if (facts.defines_new && !counts_operators) note_bypassed_new();
  if (next.usable_size == nullptr) raise_lasting(Note::k_no_usable_size);
  if (!facts.is_libc) raise_lasting(Note::k_usable_size_called);
  own_interface_possible = !facts.is_libc;
  if (own_interface_possible && calls_own_interface()) raise_lasting(Note::k_own_interface);
  if (early_arena.used()) raise(Note::k_arena_used);
}

void note_latecomers() {
  if (forked) return;
  if (awaiting_cplusplus) note_bypassed_new();
  if (binds_elsewhere()) raise(Note::k_bound_elsewhere);
  if (own_interface_possible && latecomer_calls_own_interface()) raise(Note::k_own_interface);
}

void note_coverage_again() {
  forked = true;
  for (uint32_t i = 0; i < kMaxNotes; ++i) {
    if ((lasting_notes >> i & 1) != 0) raise(static_cast<Note>(i));
  }
}

}  // namespace heapster::preload
