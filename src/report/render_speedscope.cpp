// SPDX-License-Identifier: MIT
//
// speedscope's own JSON: one profile for each weight, and the one that was asked for is shown first. A function is one
// frame wherever it is called from, hence no lines.

#include <fmt/format.h>

#include <map>
#include <utility>

#include "report/formats.h"
#include "report/json.h"
#include "report/units.h"

namespace heapster::report {

namespace {

class Frames {
 public:
  size_t number(const reader::Location& location) {
    const auto [place, fresh] = numbers_.try_emplace({location.function.str(), location.file.str()}, list.size());
    if (fresh) {
      Json frame{{"name", printable(location.function.str())}};
      if (!location.file.empty()) frame["file"] = printable(location.file.str());
      list.push_back(std::move(frame));
    }
    return place->second;
  }

  Json list = Json::array();

 private:
  std::map<std::pair<std::string, std::string>, size_t> numbers_;
};

Json profile_of(const std::vector<CallStack>& stacks, const WeightInfo& info, const std::string& name, Frames& frames) {
  Json samples = Json::array(), weights = Json::array();
  uint64_t total = 0;
  for (const CallStack& stack : stacks) {
    const uint64_t weight = stack.amounts.*info.value;
    if (weight == 0) continue;
    Json sample = Json::array();
    for (const Call& call : stack.calls) sample.push_back(frames.number(*call.location));
    samples.push_back(std::move(sample));
    weights.push_back(weight);
    total += weight;
  }
  const bool bytes = info.unit == "bytes";
  return {{"type", "sampled"},
          {"name", name},
          {"unit", bytes ? "bytes" : "none"},
          {"startValue", 0},
          {"endValue", total},
          {"samples", std::move(samples)},
          {"weights", std::move(weights)}};
}

}  // namespace

std::string render_speedscope(const Exported& exported) {
  const std::vector<CallStack> stacks = call_stacks(*exported.snapshot.stacks, *exported.names);
  Frames frames;
  Json profiles = Json::array();
  for (const WeightInfo& info : kWeights)
    profiles.push_back(profile_of(stacks, info, help_of(info, exported.snapshot), frames));
  const reader::Process& process = exported.snapshot.process;
  const Json json{{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                  {"name", fmt::format("{}, pid {}", printable(short_name(process)), process.identity.pid)},
                  {"exporter", "heapster"},
                  {"activeProfileIndex", static_cast<size_t>(exported.by)},
                  {"shared", {{"frames", std::move(frames.list)}}},
                  {"profiles", std::move(profiles)}};
  return compact_json_text(json);
}

}  // namespace heapster::report
