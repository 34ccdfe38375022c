// SPDX-License-Identifier: MIT

#include "preload/base/notes.h"

#include "preload/base/words.h"

namespace heapster::preload {

namespace {

constinit uint32_t early_notes[kMaxNotes] = {};
constinit uint32_t* notes = early_notes;

}  // namespace

void raise(Note note) { Together::add(load(notes)[static_cast<uint32_t>(note)], 1u); }

void keep_notes_in(Header* header) {
  store(notes, header == nullptr ? early_notes : header->notes);
  for (uint32_t i = 0; header != nullptr && i < kMaxNotes; ++i) {
    Together::add(header->notes[i], __atomic_exchange_n(&early_notes[i], 0u, __ATOMIC_RELAXED));
  }
}

}  // namespace heapster::preload
