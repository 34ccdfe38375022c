// SPDX-License-Identifier: MIT
//
// heapster diff: what changed from A to B. In JSON, `stats` holds the differences of what grows and B's levels;
// `change` how those levels moved. Each scope and arena of either snapshot has the same; `there` tells whether it is in
// "both", or only in the one compared "from" or "to".

#include <unistd.h>

#include "reader/diff.h"
#include "report/json.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using report::Json;

Json levels_moved(const reader::Change& of) {
  const auto before = report::figures(of.before);
  Json change = Json::object();
  for (const report::Figure& after : report::figures(of.after))
    if (after.kind == report::Kind::gauge)
      change[std::string(after.name)] =
          report::to_json(report::difference(after.value, report::figure_value(before, after.name)));
  return change;
}

Json stats_of(const reader::Change& of) {
  // The levels by size are states too: B's, not a difference.
  Json stats = report::to_json(of.flow);
  for (const report::HistogramFigure& row : report::histograms(of.after))
    if (row.kind == report::Kind::gauge) report::put_histogram(stats, row.name, row.histogram);
  for (const report::Figure& after : report::figures(of.after))
    if (after.kind == report::Kind::gauge) stats[std::string(after.name)] = report::to_json(after.value);
  return stats;
}

std::string_view name_of(reader::There there) {
  if (there == reader::There::kBoth) return "both";
  return there == reader::There::kOnlyBefore ? "from" : "to";
}

Json scopes_json(const reader::Diff& diff) {
  Json list = Json::array();
  for (const reader::ScopeChange& scope : diff.scopes)
    list.push_back({{"path", scope.path},
                    {"there", name_of(scope.there)},
                    {"stats", stats_of(scope.own)},
                    {"change", levels_moved(scope.own)},
                    {"stats_with_inner", stats_of(scope.whole)},
                    {"change_with_inner", levels_moved(scope.whole)}});
  return list;
}

Json arenas_json(const reader::Diff& diff) {
  Json list = Json::array();
  for (const reader::ArenaChange& arena : diff.arenas) {
    Json entry{{"name", arena.after.name}, {"there", name_of(arena.there)}};
    const report::Value wasted = report::wasted(arena.after);
    Json change{{"wasted", report::to_json(report::difference(wasted, report::wasted(arena.before)))}};
#define HEAPSTER_ARENA_FIGURE(name, unit, kind, help) \
  entry[#name] = arena.flow.name;                     \
  if (report::Kind::kind == report::Kind::gauge) change[#name] = arena.after.name - arena.before.name;
#include "heapster/arenas.def"
    entry["wasted"] = report::to_json(wasted);
    entry["change"] = change;
    list.push_back(entry);
  }
  return list;
}

std::string diff_json(const reader::Snapshot& a, const reader::Snapshot& b, const reader::Diff& diff) {
  return report::json_text({{"schema", "heapster-diff/1"},
                            {"from", report::to_json(a.process)},
                            {"to", report::to_json(b.process)},
                            {"seconds", diff.seconds},
                            {"stats", stats_of(diff)},
                            {"change", levels_moved(diff)},
                            {"scopes", scopes_json(diff)},
                            {"arenas", arenas_json(diff)}});
}

}  // namespace

Outcome cmd_diff(const Arguments& arguments) {
  CLI::App application("Tells what changed from snapshot A to snapshot B of one process.", "heapster diff");
  std::string from, to;
  bool json = false, runs = false, all = false;
  application.add_option("A", from, "the earlier snapshot, or a PID")->required();
  application.add_option("B", to, "the later snapshot, or a PID")->required();
  application.add_flag("--json", json, "as JSON");
  application.add_flag("--runs", runs, "compare snapshots of two runs");
  application.add_flag("--all", all, "every figure that changed, under its name in JSON");
  if (auto over = parse(application, arguments)) return *over;

  const auto a = load_argument(from);
  if (!a) return a.error();
  const auto b = load_argument(to);
  if (!b) return b.error();
  const auto diff = reader::diff(*a, *b, runs);
  if (!diff) return diff.error();
  if (json) return print(diff_json(*a, *b, *diff));
  return print(report::render_text(
      report::make_diff_report(*a, *b, *diff, all ? report::Extent::kAll : report::Extent::kLeading),
      look_of(STDOUT_FILENO)));
}

}  // namespace heapster::tool
