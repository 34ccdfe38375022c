// SPDX-License-Identifier: MIT
//
// Running a program and seeing all that it says.

#pragma once

#include <string>

namespace heapster::test {

struct Ran {
  int code;  // 128+n where a signal ended it
  std::string out;
  std::string err;
};

// A line for the shell; `input` is its standard input.
Ran run_shell(const std::string& line, const std::string& input = "");

std::string read_whole(const std::string& path);

}  // namespace heapster::test
