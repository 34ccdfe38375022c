// SPDX-License-Identifier: MIT
//
// heapster clean: what is left in the run directory by processes that do not run any more. It tells what there is, and
// removes it only where it is told to.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "reader/find.h"
#include "reader/leftovers.h"
#include "reader/proc.h"
#include "report/report.h"
#include "report/units.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using reader::Leftover;

std::string total_of(const std::vector<Leftover>& files) {
  return fmt::format("{} file{}, {}", report::count_text(static_cast<int64_t>(files.size())),
                     files.size() == 1 ? "" : "s", report::bytes_text(static_cast<int64_t>(reader::bytes_of(files))));
}

std::string table_of(const std::vector<Leftover>& files) {
  report::Table table{{"file", "what it is", "bytes", "age"}, {}};
  for (const Leftover& left : files) {
    table.rows.push_back({report::printable(left.name), std::string(name_of(left.kind)),
                          report::bytes_text(static_cast<int64_t>(left.bytes)),
                          report::seconds_text(std::max(0.0, reader::epoch_now() - left.changed))});
  }
  return render_table(table, look_of(STDOUT_FILENO));
}

}  // namespace

Outcome cmd_clean(const Arguments& arguments) {
  CLI::App application(
      "Tells what processes that do not run any more have left in the run directory: segments of killed ones,\n"
      "snapshots that nobody collected, unfinished files. With --force it is removed.",
      "heapster clean");
  bool force = false;
  application.add_flag("-f,--force", force, "remove it");
  if (auto over = parse(application, arguments)) return *over;

  const auto directory = reader::HeldDirectory::open(reader::run_directory());
  if (!directory) return directory.error();
  const std::vector<Leftover> left = reader::leftovers_in(*directory);
  if (left.empty()) return print(fmt::format("nothing is left in {}\n", one_line(directory->path())));
  if (!force) {
    return print(fmt::format("{}{} in {}; heapster clean --force removes them\n", table_of(left), total_of(left),
                             one_line(directory->path())));
  }
  std::vector<Leftover> removed;
  for (const Leftover& file : left)
    if (directory->remove(file.name)) removed.push_back(file);
  return print(fmt::format("removed {} from {}\n", total_of(removed), one_line(directory->path())));
}

}  // namespace heapster::tool
