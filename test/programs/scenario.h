// SPDX-License-Identifier: MIT
//
// The programs under test: one executable, many scenarios, each a function that does a known thing
// to the heap and prints what it knows as "name value" lines. They know nothing of heapster.

#pragma once

#include <cstddef>
#include <string>

namespace scenario {

struct Entry {
  const char* name;
  int (*run)(int argument_count, char** arguments);
};

// The scenarios of each file, ended by a null name.
extern const Entry kCalls[];
extern const Entry kThreads[];
extern const Entry kLevels[];
extern const Entry kEnds[];
extern const Entry kForks[];
extern const Entry kPlaces[];
extern const Entry kLimits[];
extern const Entry kLoader[];
extern const Entry kStacks[];

// Prints one fact, unbuffered and without allocating.
void tell(const char* name, long long value);
// Prints a line and waits until the test says a line, or nothing more.
void ready(const char* text);

// A block that the compiler may not think away.
void* keep(void* block);

}  // namespace scenario
