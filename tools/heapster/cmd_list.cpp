// SPDX-License-Identifier: MIT
//
// heapster list: who has a segment in the run directory, or elsewhere and lives. Live ones come first; a dead one is a
// process that was killed, and its numbers hold up to its last call.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "reader/find.h"
#include "reader/known_name.h"
#include "reader/leftovers.h"
#include "reader/proc.h"
#include "report/figures.h"
#include "report/json.h"
#include "report/pattern.h"
#include "report/report.h"
#include "report/units.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using reader::Found;

struct ListOptions {
  bool json = false;
  bool live = false;
  bool reverse = false;
  std::string sort;
  std::string user;
  std::string name;
};

// One process as a line of the table.
struct Listed {
  const Found* found;
  std::string name;
  double age;  // seconds

  const reader::Process& process() const { return found->snapshot.process; }
  const reader::Stats& stats() const { return found->snapshot.stats; }
};

// THE list of the columns that can be sorted by.
struct SortKey {
  std::string_view name;
  bool (*before)(const Listed& a, const Listed& b);
};
constexpr SortKey kSortKeys[] = {
    {"live", [](const Listed& a, const Listed& b) { return a.stats().use.curr.value() > b.stats().use.curr.value(); }},
    {"peak", [](const Listed& a, const Listed& b) { return a.stats().use.max.value() > b.stats().use.max.value(); }},
    {"allocations", [](const Listed& a,
                       const Listed& b) { return a.stats().alloc.count().value() > b.stats().alloc.count().value(); }},
    {"age", [](const Listed& a, const Listed& b) { return a.age > b.age; }},
    {"name", [](const Listed& a, const Listed& b) { return a.name < b.name; }},
    {"pid", [](const Listed& a, const Listed& b) { return pid_of(a.process()) < pid_of(b.process()); }},
};

double age_of(const Found& found) {
  const double started = static_cast<double>(found.snapshot.process.identity.started_epoch) / 1e9;
  return std::max(0.0, reader::epoch_now() - started);
}

// A user's number; nothing where there is no such user.
std::optional<uint32_t> user_of(const std::string& text) {
  uint32_t number = 0;
  const char* const end = text.data() + text.size();
  if (const auto read = std::from_chars(text.data(), end, number); read.ec == std::errc() && read.ptr == end)
    return number;
  const passwd* entry = getpwnam(text.c_str());
  return entry != nullptr ? std::optional<uint32_t>(entry->pw_uid) : std::nullopt;
}

reader::Result<std::vector<Listed>> chosen(const reader::Listing& listing, const ListOptions& options) {
  const auto user = options.user.empty() ? std::nullopt : user_of(options.user);
  if (!options.user.empty() && !user) return reader::Error{"--user: no user '" + options.user + "'"};
  std::vector<Listed> result;
  for (const Found& found : listing.found) {
    const reader::Process& process = found.snapshot.process;
    const std::string name = reader::known_name(process);
    if (options.live && process.life != reader::Life::kRunning) continue;
    if (user && process.identity.uid != *user) continue;
    if (!options.name.empty() && !report::matches_whole(options.name, name) &&
        !report::matches_whole(options.name, reader::short_name(process)))
      continue;
    result.push_back({&found, name, age_of(found)});
  }
  for (const SortKey& key : kSortKeys)
    if (key.name == options.sort) std::stable_sort(result.begin(), result.end(), key.before);
  if (options.reverse) std::reverse(result.begin(), result.end());
  return result;
}

std::string figure_text(reader::Number number, std::string_view unit) {
  const auto value = number.value();
  return report::value_text(value ? report::Value(*value) : report::Value(), unit);
}

std::vector<std::string> row_of(const Listed& listed) {
  const reader::Process& process = listed.process();
  return {report::printable(listed.name),
          report::pid_text(process),
          std::string(name_of(process.life)),
          figure_text(listed.stats().use.curr, "bytes"),
          figure_text(listed.stats().use.max, "bytes"),
          figure_text(listed.stats().alloc.count(), "calls"),
          report::seconds_text(listed.age),
          std::string(coverage(listed.found->snapshot).verdict),
          report::printable(process.label)};
}

// Live bytes and allocations of all; peaks were not at one time, so that their sum means nothing.
std::vector<std::string> sum_row(const std::vector<Listed>& all) {
  reader::Number live(0), allocations(0);
  for (const Listed& listed : all) {
    live = live + listed.stats().use.curr;
    allocations = allocations + listed.stats().alloc.count();
  }
  return {fmt::format("{} processes", all.size()),
          "",
          "",
          figure_text(live, "bytes"),
          "",
          figure_text(allocations, "calls"),
          "",
          "",
          ""};
}

// Shortens the first and the last column, names and labels, until the lines are no wider than `columns`.
void fit(report::Table& table, size_t columns) {
  constexpr size_t kLeast = 12;
  constexpr size_t kGap = 2;
  const std::vector<size_t> widths = report::widths_of(table);
  size_t total = std::accumulate(widths.begin(), widths.end(), kGap * widths.size());
  for (const size_t column : {table.heads.size() - 1, size_t{0}}) {
    const size_t excess = total > columns ? total - columns : 0;
    const size_t room = std::max(kLeast, widths[column] - std::min(excess, widths[column]));
    if (room >= widths[column]) continue;
    for (auto& row : table.rows) row[column] = report::shortened(row[column], room);
    total -= widths[column] - room;
  }
}

std::string list_text(const std::vector<Listed>& all, const reader::Listing& listing, const std::string& directory) {
  if (listing.found.empty()) return fmt::format("no measured process ({} holds no segment)\n", directory);
  if (all.empty()) return fmt::format("none of {} processes is asked for\n", listing.found.size());
  report::Table table{{"name", "pid", "state", "live", "peak", "allocations", "age", "coverage", "label"}, {}};
  for (const Listed& listed : all) table.rows.push_back(row_of(listed));
  if (all.size() > 1) table.rows.push_back(sum_row(all));
  if (const size_t columns = terminal_columns(STDOUT_FILENO); columns != 0) fit(table, columns);
  return render_table(table, look_of(STDOUT_FILENO));
}

// Nothing where nothing is left.
std::string leftovers_text(const std::vector<reader::Leftover>& left, const std::string& directory) {
  if (left.empty()) return "";
  return fmt::format("left in {} by dead processes: {}, {} (heapster clean tells which)\n", one_line(directory),
                     left.size() == 1 ? "1 file" : report::count_text(static_cast<int64_t>(left.size())) + " files",
                     report::bytes_text(static_cast<int64_t>(reader::bytes_of(left))));
}

std::string list_json(const std::vector<Listed>& all, const reader::Listing& listing,
                      const std::vector<reader::Leftover>& left) {
  report::Json processes = report::Json::array();
  for (const Listed& listed : all) {
    const Found& found = *listed.found;
    report::Json entry{{"path", found.path},
                       {"name", listed.name},
                       {"age", listed.age},
                       {"process", report::to_json(found.snapshot.process)}};
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
  ListOptions options;
  std::vector<std::string> keys;
  for (const SortKey& key : kSortKeys) keys.emplace_back(key.name);
  application.add_flag("--json", options.json, "as JSON");
  application.add_flag("--live", options.live, "only processes that run");
  application.add_option("--user", options.user, "only this user's, by name or number")->type_name("USER");
  application.add_option("--name", options.name, "only those of this name, in which * stands for anything")
      ->type_name("NAME");
  application.add_option("--sort", options.sort, fmt::format("largest first, by {}", fmt::join(keys, ", ")))
      ->check(CLI::IsMember(keys).description(""))
      ->type_name("COLUMN");
  application.add_flag("--reverse", options.reverse, "in the other order");
  if (auto over = parse(application, arguments)) return *over;

  const std::string directory = reader::run_directory();
  const auto listing = reader::list_everywhere(directory, reader::Depth::kFigures);
  if (!listing) return listing.error();
  const auto run = reader::HeldDirectory::open(directory);
  const auto left = run ? reader::leftovers_in(*run) : std::vector<reader::Leftover>();
  const auto all = chosen(*listing, options);
  if (!all) return all.error();
  if (options.json) return print(list_json(*all, *listing, left));
  for (const std::string& refused : listing->refused) fmt::print(stderr, "heapster: {}\n", one_line(refused));
  return print(list_text(*all, *listing, directory) + leftovers_text(left, directory));
}

}  // namespace heapster::tool
