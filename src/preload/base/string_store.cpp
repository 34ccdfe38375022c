// SPDX-License-Identifier: MIT

#include "preload/base/string_store.h"

namespace heapster::preload {

namespace {

char store[24 * 1024];
size_t used;
size_t lasting;

}  // namespace

StoredString::StoredString() : text_(store + used, sizeof store - used) {}

const char* StoredString::keep() {
  if (text_.full()) return "";
  const char* kept = store + used;
  used += text_.size() + 1;
  return kept;
}

const char* keep_string(const char* text) {
  StoredString string;
  string.text().add(text);
  return string.keep();
}

void end_lasting_strings() { lasting = used; }
void forget_passing_strings() { used = lasting; }

}  // namespace heapster::preload
