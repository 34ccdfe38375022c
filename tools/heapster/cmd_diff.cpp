// SPDX-License-Identifier: MIT
//
// heapster diff: what changed from A to B. In JSON, `stats` holds the differences of what grows
// and B's levels; `change` how those levels moved.

#include <unistd.h>

#include "reader/diff.h"
#include "report/json.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using report::Json;

std::string diff_json(const reader::Snapshot& a, const reader::Snapshot& b, const reader::Diff& diff) {
  const auto before = report::figures(diff.before);
  Json change = Json::object();
  for (const report::Figure& after : report::figures(diff.after))
    if (after.kind == report::Kind::gauge)
      change[std::string(after.name)] =
          report::to_json(report::difference(after.value, report::figure_value(before, after.name)));
  // The levels by size are states too: B's, not a difference.
  Json stats = report::to_json(diff.flow);
  for (const report::HistogramFigure& row : report::histograms(diff.after))
    if (row.kind == report::Kind::gauge) report::put_histogram(stats, row.name, row.histogram);
  for (const report::Figure& after : report::figures(diff.after))
    if (after.kind == report::Kind::gauge) stats[std::string(after.name)] = report::to_json(after.value);
  return report::json_text({{"schema", "heapster-diff/1"},
                            {"from", report::to_json(a.process)},
                            {"to", report::to_json(b.process)},
                            {"seconds", diff.seconds},
                            {"stats", stats},
                            {"change", change}});
}

}  // namespace

Outcome cmd_diff(const Arguments& arguments) {
  CLI::App application("Tells what changed from snapshot A to snapshot B of one process.", "heapster diff");
  std::string from, to;
  bool json = false, runs = false;
  application.add_option("A", from, "the earlier snapshot, or a PID")->required();
  application.add_option("B", to, "the later snapshot, or a PID")->required();
  application.add_flag("--json", json, "as JSON");
  application.add_flag("--runs", runs, "compare snapshots of two runs");
  if (auto over = parse(application, arguments)) return *over;

  const auto a = load_argument(from);
  if (!a) return a.error();
  const auto b = load_argument(to);
  if (!b) return b.error();
  const auto diff = reader::diff(*a, *b, runs);
  if (!diff) return diff.error();
  if (json) return print(diff_json(*a, *b, *diff));
  return print(report::render_text(report::make_diff_report(*a, *b, *diff), look_of(STDOUT_FILENO)));
}

}  // namespace heapster::tool
