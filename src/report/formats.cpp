// SPDX-License-Identifier: MIT

#include "report/formats.h"

#include "report/units.h"

namespace heapster::report {

std::string command_line(const reader::Process& process) {
  std::string line = process.executable;
  for (size_t i = 0; i < process.command.size(); ++i)
    line = i == 0 ? process.command[0] : line + " " + process.command[i];
  return printable(line);
}

}  // namespace heapster::report
