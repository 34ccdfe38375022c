// SPDX-License-Identifier: MIT
//
// The same for machines. Figures have the names of stacks.def; what the file keeps in 256ths of a block is in blocks.

#include <algorithm>
#include <string_view>

#include "report/culprit.h"
#include "report/stacks_report.h"

namespace heapster::report {

namespace {

using reader::StackFigures;

bool in_256ths(const reader::StackFigureInfo& figure) { return std::string_view(figure.unit).ends_with("_256ths"); }

Json figures_json(const StackFigures& figures) {
  Json object = Json::object();
  for (const reader::StackFigureInfo& figure : reader::kStackFigures) {
    const uint64_t value = figures.*figure.value;
    object[figure.name] = in_256ths(figure) ? blocks_of(value) : static_cast<int64_t>(value);
  }
  object["live_bytes"] = figures.live_bytes();
  object["live_count"] = blocks_of(figures.live_count());
  object["live_samples"] = figures.live_samples();
  return object;
}

Json optional_json(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }

Json span_json(const std::optional<Span>& span) {
  return span ? Json{{"low", span->low}, {"high", span->high}} : Json(nullptr);
}

Json lifetimes_json(const StackFigures& figures) {
  Json list = Json::array();
  for (const Lifetimes& each : lifetimes(figures))
    list.push_back({{"below", optional_json(each.below)}, {"share", each.share}});
  return list;
}

Json step_json(const Step& step) {
  return {{"function", step.function.str()},
          {"file", step.file.empty() ? Json(nullptr) : Json(step.file.str())},
          {"line", step.line == 0 ? Json(nullptr) : Json(step.line)},
          {"module", step.module.empty() ? Json(nullptr) : Json(step.module.str())},
          {"symbol", step.known}};
}

Json estimate_json(const Estimate& estimate) {
  return {{"bytes", estimate.bytes},
          {"blocks", estimate.blocks},
          {"samples", estimate.samples},
          {"relative_error", optional_json(estimate.error)}};
}

Json site_json(const Site& site, const StacksAnswer& answer) {
  const Estimate found = estimate(site, answer.by, answer.sites.mean_bytes);
  const double all = rank(answer.total, answer.by);
  const Step* who = culprit(site);
  Json json{{"site", who != nullptr ? step_json(*who) : Json(nullptr)}, {"estimate", estimate_json(found)}};
  json["share"] = all > 0 ? Json(rank(found, answer.by) / all) : Json(nullptr);
  json["uncertain"] = found.uncertain();
  json["figures"] = figures_json(site.figures);
  if (answer.by == By::kGrowth) json["before"] = figures_json(site.before);
  json["lifetime_p50"] = span_json(median_lifetime(site.figures, answer.sites.duration));
  json["lifetimes"] = lifetimes_json(site.figures);
  json["elsewhere_share"] = optional_json(elsewhere_share(site.figures));
  json["temporary_share"] = optional_json(temporary_share(site.figures));
  json["truncated"] = site.truncated;
  json["frames"] = Json::array();
  for (const Step& step : site.steps) json["frames"].push_back(step_json(step));
  return json;
}

Json latency_json(const Latencies& latencies) {
  if (latencies.calls() == 0) return nullptr;
  Json classes = Json::array();
  for (const Latencies::Class& each : latencies.classes())
    classes.push_back({{"below", each.below}, {"calls", each.calls}});
  return {{"p50", span_json(latencies.quantile(0.5))},
          {"p99", span_json(latencies.quantile(0.99))},
          {"max", latencies.slowest()},
          {"calls", latencies.calls()},
          {"classes", classes}};
}

}  // namespace

Json sites_json(const StacksAnswer& answer) {
  Json list = Json::array();
  const size_t told = std::min(answer.limit, answer.sites.sites.size());
  for (size_t i = 0; i < told; ++i) list.push_back(site_json(answer.sites.sites[i], answer));
  return {{"by", info_of(answer.by).name},
          {"total", estimate_json(answer.total)},
          {"selected", estimate_json(total_of(answer.sites, answer.by))},
          {"net", answer.by == By::kGrowth ? estimate_json(answer.net) : Json(nullptr)},
          {"counted", answer.counted ? Json(*answer.counted) : Json(nullptr)},
          {"incomplete", answer.incomplete},
          {"sites_found", answer.sites.sites.size()},
          {"ended_threads", {{"live_bytes", answer.sites.of_ended.live_bytes()}}},
          {"suppressed", {{"sites", answer.suppressed}, {"bytes", answer.suppressed_bytes}}},
          {"sites", list}};
}

Json tree_json(const Node& node) {
  Json json = step_json(node.step);
  json["value"] = node.value;
  json["children"] = Json::array();
  for (const Node& child : node.children) json["children"].push_back(tree_json(child));
  return json;
}

Json sampling_json(const reader::Snapshot& snapshot) {
  if (!snapshot.stacks) return nullptr;
  const reader::Stacks& stacks = *snapshot.stacks;
  const Sampling& s = stacks.sampling;
  Json json = Json::object();
  for (const reader::SamplingFigureInfo& figure : reader::kSamplingFigures) json[figure.name] = s.*figure.value;
  json["stacks"] = stacks.stacks.size();
  json["modules"] = stacks.modules.size();
  json["damaged"] = stacks.damaged;
  json["total"] = figures_json(stacks.total());
  json["lifetimes"] = lifetimes_json(stacks.total());
  json["malloc_latency"] = latency_json({s.malloc_nanoseconds, s.malloc_slowest});
  json["free_latency"] = latency_json({s.free_nanoseconds, s.free_slowest});
  return json;
}

std::string help_of(const reader::StackFigureInfo& figure) {
  constexpr std::string_view kUnit = ", in 256ths";
  const std::string_view help = figure.help;
  return std::string(help.ends_with(kUnit) ? help.substr(0, help.size() - kUnit.size()) : help);
}

}  // namespace heapster::report
