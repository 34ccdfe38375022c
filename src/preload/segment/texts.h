// SPDX-License-Identifier: MIT
//
// The strings of the segment. They are gathered in private memory first, since options are read
// before there is a segment, and a fork's child says most of them again.

#pragma once

#include <cstddef>
#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

// Adds a string, cut to `most` bytes. What lasts is cut short of leaving no room for what passes, which holds the path
// of the snapshot; that one is whole or not there.
void add_text(Text key, const char* text, size_t size, size_t most);
void add_text(Text key, const char* text, size_t most);
void add_whole_text(Text key, const char* text);

// What was added so far stays with the process; what follows is said anew by each fork's child.
void end_lasting_texts();
void drop_passing_texts();

void write_texts(Header* header);
// Adds one to a segment whose texts are written, if there is room. One thread at a time.
void add_late_text(Header* header, Text key, const char* text);

// Looks a string up in a segment's text section; false, and empty, where it is not there.
bool find_text(const char* section, size_t used, Text key, char* to, size_t room);

}  // namespace heapster::preload
