// SPDX-License-Identifier: MIT
//
// A plug-in that allocates when it is loaded, throws through its caller, and frees when it goes.

#include <stdexcept>
#include <string>
#include <vector>

static std::vector<std::string> names(100, std::string(100, 'x'));

extern "C" void throw_up(int depth) {
  std::string local(200, 'y');
  if (depth == 0) throw std::runtime_error("as asked: " + local);
  throw_up(depth - 1);
}
