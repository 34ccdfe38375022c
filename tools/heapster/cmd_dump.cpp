// SPDX-License-Identifier: MIT
//
// heapster dump: a snapshot of a live process, taken from outside. Unless told where to, it goes
// into the working directory under the name that a snapshot at exit would have, with the first
// number that is free: a dump never replaces another one. The name is made of what the kernel says of the process; a
// dead one's is called by its number alone.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "reader/dump.h"
#include "reader/load.h"
#include "report/units.h"
#include "run_names.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

constexpr int kMostDumps = 100000;

std::string stem_of(const reader::Process& process) {
  const uint32_t pid = reader::pid_of(process);
  const bool lives = process.life == reader::Life::kRunning && process.ending.time == 0;
  const std::string executable = lives ? executable_of(pid) : "";
  return executable.empty() ? fmt::format("heapster.{}", pid)
                            : fmt::format("heapster.{}.{}", report::printable(executable), pid);
}

reader::Result<std::string> dump_to_free_name(const reader::FileSource& segment, const std::string& path,
                                              const std::string& stem) {
  for (int number = 1; number <= kMostDumps; ++number) {
    const std::string name = fmt::format("{}.dump{}.heap", stem, number);
    if (faccessat(AT_FDCWD, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) continue;
    const auto done =
        reader::dump(segment, path, {.directory = AT_FDCWD, .name = name, .path = name, .replaces = false});
    if (done) return name;
    if (errno != EEXIST) return done.error();
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
  const auto file = reader::FileSource::open(*path);
  if (!file) return file.error();
  reader::Strangers strangers;
  const auto snapshot = reader::load(*file, *path, strangers);
  if (!snapshot) return snapshot.error();
  if (!output.empty()) {
    const auto done =
        reader::dump(*file, *path, {.directory = AT_FDCWD, .name = output, .path = output, .replaces = true});
    return done ? print(output + "\n") : done.error();
  }
  const auto name = dump_to_free_name(*file, *path, stem_of(snapshot->process));
  return name ? print(*name + "\n") : name.error();
}

}  // namespace heapster::tool
