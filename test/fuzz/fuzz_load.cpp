// SPDX-License-Identifier: MIT
//
// libFuzzer target: any bytes go through the loader and, where it takes them, through every
// renderer, diff, the budgets and the report on stacks. Nothing may crash, hang, or allocate beyond its bounds.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>

#include "reader/diff.h"
#include "reader/load.h"
#include "report/budgets.h"
#include "report/formats.h"
#include "report/report.h"
#include "report/stacks_report.h"

using namespace heapster;

namespace {

void tell_stacks(const reader::Snapshot& snapshot) {
  const reader::Names names(*snapshot.stacks);
  const report::Sites all = report::make_sites(snapshot, names);
  for (const report::ByInfo& info : report::kBys) {
    report::StacksAnswer answer{.by = info.by, .sites = report::compare(all, all, true)};
    answer.total = report::total_of(answer.sites, info.by);
    answer.net = report::net_of(answer.sites, info.by);
    report::sort_by(answer.sites, info.by);
    report::render_text({.sections = {report::sites_section(answer)}});
    report::json_text(report::sites_json(answer));
    report::render_text({.sections = {report::tree_section(answer, report::Direction::kCallers)}});
    report::json_text(report::tree_json(report::make_tree(answer.sites, info.by, report::Direction::kCallers)));
  }
  report::make_sites(snapshot, names, {.function = "*a*b", .thread = "w", .least_size = 10});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const reader::MemorySource source({reinterpret_cast<const char*>(data), size});
  const reader::Result<reader::Snapshot> snapshot = reader::load(source);
  if (!snapshot) {
    if (snapshot.error().text.find('\n') != std::string::npos) std::abort();  // a fault is one line
    return 0;
  }
  std::optional<reader::Names> names;
  if (snapshot->stacks) names.emplace(*snapshot->stacks);
  for (const report::Format& format : report::kFormats)
    if (names || !needs_stacks(format)) format.render({*snapshot, names ? &*names : nullptr});
  report::render_text(report::make_report(*snapshot, {.threads = true, .timeline = true}), {.colour = true});
  if (snapshot->stacks) tell_stacks(*snapshot);
  const auto diff = reader::diff(*snapshot, *snapshot, false);
  if (!diff) std::abort();  // a process is always the same as itself
  report::render_text(report::make_diff_report(*snapshot, *snapshot, *diff));
  report::Budgets budgets;
  budgets.limits.fill(0);
  auto judge = report::Judge::make(budgets);
  if (!judge) std::abort();  // there is no baseline that could be missing
  judge->take_program(*snapshot);
  judge->take_other(*snapshot);
  (void)judge->broken();
  return 0;
}
