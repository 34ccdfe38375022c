// SPDX-License-Identifier: MIT
//
// What heapster-run calls the files that it writes in the place of processes that could not: by its own pattern and
// what the kernel tells, never by what a file says of itself.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace heapster::tool {

// What the letters of a pattern stand for.
struct Facts {
  std::string executable;  // the last part of its path
  int64_t pid = 0;
  int64_t time = 0;  // of the start, in seconds
  uint32_t image = 0;
};

// The pattern as the preload would expand it (src/preload/snapshot/snapshot_name.cpp).
std::string expand(const std::string& pattern, const Facts& facts);

// "dir/a.heap" and 7 make "dir/a.7.heap".
std::string numbered(const std::string& path, const std::string& number);

// A glob that matches all that a pattern can become for a process: only the process knew its executable, time and
// image.
std::string glob_of(const std::string& pattern, int64_t pid);

// "dir/a" → "dir", "a" → ".".
std::string directory_of(const std::string& path);
std::string base_of(const std::string& path);

// The executable of a process, as the kernel tells it; empty where there is none any more.
std::string executable_of(int64_t pid);

// The user as whom a process acts on files; nothing where there is no such process.
std::optional<uint32_t> user_of(int64_t pid);

}  // namespace heapster::tool
