// SPDX-License-Identifier: MIT
//
// notes.def as a table for those who print it.

#pragma once

#include <array>
#include <string_view>

#include "reader/snapshot.h"

namespace heapster::reader {

struct NoteInfo {
  std::string_view name;
  Effect effect;
  std::string_view text;
};

inline constexpr auto kNotes = std::to_array<NoteInfo>({
#define HEAPSTER_NOTE(name, effect, text) {#name, Effect::effect, text},
#include "layout/notes.def"
});

}  // namespace heapster::reader
