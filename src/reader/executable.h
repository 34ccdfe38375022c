// SPDX-License-Identifier: MIT
//
// Whether a preload can see a program, told before it starts: nothing of a static or
// set-user-id program, of another architecture's, or of one with its own malloc can be seen, and a
// report of zeros would look like a program that does not allocate. A program with a sanitizer's
// runtime ends at its start if any other library comes before that runtime.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reader/result.h"

namespace heapster::reader {

// The file that execvp would run for a command's first word.
Result<std::string> find_program(const std::string& word);

// The program that a command really runs: where its first word is the dynamic linker (ld-linux.so.2 [OPTION…] PROGRAM),
// what that is to load; else the same.
std::string program_behind_loader(const std::string& program, const std::vector<std::string>& command);

// What becomes of libheapster.so in a program of which it sees nothing.
enum class Fate {
  kLoaded,   // but the program's calls do not reach it
  kIgnored,  // the kernel or the dynamic linker starts the program without; its children may have it
  kRefused,  // the program would not run as it does without, so it is not to be tried
};
struct Unseen {
  std::string why;  // "PROGRAM is statically linked"
  Fate fate;
};

// Nothing where the program can be seen. Follows "#!" lines to the interpreter. A file that is no ELF file is left to
// the kernel's judgement.
std::optional<Unseen> why_unseen(const std::string& path);

// The name of an allocator's function that is linked into the program itself, as a Rust program's
// jemalloc is: what such an allocator serves is not seen. Empty where none is known, or it is stripped.
std::string embedded_allocator(const std::string& path);

// The ELF file that runs for a program (a script's interpreter), and the dynamic linker that it names;
// that is empty where it names none.
struct Loader {
  std::string binary;
  std::string loader;
};
Loader loader_of(const std::string& path);

// What a shared object exports of what an allocator may define.
struct Definitions {
  bool malloc = false;
  bool operator_new = false;
};
Definitions definitions_of(const std::string& path);

}  // namespace heapster::reader
