// SPDX-License-Identifier: MIT
//
// heapster list: who has a segment in the run directory, or elsewhere and lives. Live ones come first; a dead one is a
// process that was killed, and its numbers hold up to its last call.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "reader/find.h"
#include "reader/leftovers.h"
#include "reader/proc.h"
#include "report/figures.h"
#include "report/json.h"
#include "report/report.h"
#include "report/units.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using reader::Found;

double age_of(const Found& found) {
  const double started = static_cast<double>(found.snapshot.process.identity.started_epoch) / 1e9;
  return std::max(0.0, reader::epoch_now() - started);
}

std::vector<std::string> row_of(const Found& found) {
  const reader::Process& process = found.snapshot.process;
  const reader::Stats& stats = found.snapshot.stats;
  const auto text = [&](reader::Number number, std::string_view unit) {
    const auto value = number.value();
    return report::value_text(value ? report::Value(*value) : report::Value(), unit);
  };
  return {report::printable(reader::short_name(process)),
          report::pid_text(process),
          std::string(name_of(process.life)),
          text(stats.use.curr, "bytes"),
          text(stats.use.max, "bytes"),
          text(stats.alloc.count(), "calls"),
          report::seconds_text(age_of(found)),
          std::string(coverage(found.snapshot).verdict),
          report::printable(process.label)};
}

std::string list_text(const reader::Listing& listing, const std::string& directory) {
  if (listing.found.empty()) return fmt::format("no measured process ({} holds no segment)\n", directory);
  report::Table table{{"executable", "pid", "state", "live", "peak", "allocations", "age", "coverage", "label"}, {}};
  for (const Found& found : listing.found) table.rows.push_back(row_of(found));
  return render_table(table, look_of(STDOUT_FILENO));
}

// Nothing where nothing is left.
std::string leftovers_text(const std::vector<reader::Leftover>& left, const std::string& directory) {
  if (left.empty()) return "";
  return fmt::format("left in {} by dead processes: {}, {} (heapster clean tells which)\n", one_line(directory),
                     left.size() == 1 ? "1 file" : report::count_text(static_cast<int64_t>(left.size())) + " files",
                     report::bytes_text(static_cast<int64_t>(reader::bytes_of(left))));
}

std::string list_json(const reader::Listing& listing, const std::vector<reader::Leftover>& left) {
  report::Json processes = report::Json::array();
  for (const Found& found : listing.found) {
    report::Json entry{
        {"path", found.path}, {"age", age_of(found)}, {"process", report::to_json(found.snapshot.process)}};
    entry["coverage"] = report::coverage_json(found.snapshot);
    for (const report::Figure& figure : report::figures(found.snapshot.stats))
      entry["stats"][std::string(figure.name)] = report::to_json(figure.value);
    processes.push_back(entry);
  }
  return report::json_text({{"schema", "heapster-list/1"},
                            {"processes", processes},
                            {"unreadable", listing.refused},
                            {"left", {{"files", left.size()}, {"bytes", reader::bytes_of(left)}}}});
}

}  // namespace

Outcome cmd_list(const Arguments& arguments) {
  CLI::App application("Lists the processes that have a segment: live, dead, and replaced by an exec.",
                       "heapster list");
  bool json = false;
  application.add_flag("--json", json, "as JSON");
  if (auto over = parse(application, arguments)) return *over;

  const std::string directory = reader::run_directory();
  const auto listing = reader::list_everywhere(directory, reader::Depth::kFigures);
  if (!listing) return listing.error();
  const auto run = reader::HeldDirectory::open(directory);
  const auto left = run ? reader::leftovers_in(*run) : std::vector<reader::Leftover>();
  if (json) return print(list_json(*listing, left));
  for (const std::string& refused : listing->refused) fmt::print(stderr, "heapster: {}\n", one_line(refused));
  return print(list_text(*listing, directory) + leftovers_text(left, directory));
}

}  // namespace heapster::tool
