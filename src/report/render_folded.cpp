// SPDX-License-Identifier: MIT
//
// A line for each stack, its functions from the outermost on with semicolons between them, and its weight.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

std::string step_text(const reader::Location& location) {
  std::string text = printable(location.function.str());
  std::replace(text.begin(), text.end(), ';', ',');
  return text;
}

}  // namespace

std::string render_folded(const Exported& exported) {
  std::map<std::string, uint64_t> weights;
  for (const CallStack& stack : call_stacks(*exported.snapshot.stacks, *exported.names)) {
    std::string key;
    for (const Call& call : stack.calls) key += (key.empty() ? "" : ";") + step_text(*call.location);
    weights[key] += stack.amounts.*info_of(exported.by).value;
  }
  std::string out;
  for (const auto& [key, weight] : weights)
    if (weight > 0) out += fmt::format("{} {}\n", key, weight);
  return out;
}

}  // namespace heapster::report
