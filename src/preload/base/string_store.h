// SPDX-License-Identifier: MIT
//
// Where the preload keeps the strings that it needs to the end: one after the other, so that they
// take a page or two in all. A starting process pays for each page that it touches.

#pragma once

#include <cstddef>

#include "preload/base/text.h"

namespace heapster::preload {

// Appends strings to the store, piece by piece.
class StoredString {
 public:
  StoredString();
  TextBuilder& text() { return text_; }
  // Ends the string; empty where it did not fit.
  const char* keep();

 private:
  TextBuilder text_;
};

const char* keep_string(const char* text);

// What was kept so far stays for good; forget_passing_strings() drops what came later.
void end_lasting_strings();
void forget_passing_strings();

}  // namespace heapster::preload
