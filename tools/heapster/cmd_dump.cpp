// SPDX-License-Identifier: MIT
//
// heapster dump: a snapshot of a live process, taken from outside. Unless told where to, it goes
// into the working directory under the name that a snapshot at exit would have, with the first
// number that is free: a dump never replaces another one.

#include <fmt/format.h>
#include <unistd.h>

#include "reader/dump.h"
#include "reader/load.h"
#include "report/units.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

constexpr int kMostDumps = 100000;

reader::Result<std::string> free_name(const reader::Process& process) {
  for (int number = 1; number <= kMostDumps; ++number) {
    std::string name = fmt::format("heapster.{}.{}.dump{}.heap", report::printable(reader::short_name(process)),
                                   reader::pid_of(process), number);
    if (access(name.c_str(), F_OK) != 0) return name;
  }
  return reader::Error{"no free name for the dump; -o names one"};
}

}  // namespace

Outcome cmd_dump(const Arguments& arguments) {
  CLI::App application("Writes a snapshot of a process without touching it.", "heapster dump");
  std::string target;
  std::string output;
  application.add_option("PID", target, "the process (or a segment's file)")->required();
  application.add_option("-o,--output", output, "where to (default: heapster.EXECUTABLE.PID.dumpN.heap)");
  if (auto over = parse(application, arguments)) return *over;

  const auto path = path_of(target);
  if (!path) return path.error();
  const auto snapshot = reader::load(*path);
  if (!snapshot) return snapshot.error();
  const auto name = output.empty() ? free_name(snapshot->process) : reader::Result<std::string>(output);
  if (!name) return name.error();
  if (const auto done = reader::dump(*path, *name); !done) return done.error();
  return print(*name + "\n");
}

}  // namespace heapster::tool
