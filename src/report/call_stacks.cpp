// SPDX-License-Identifier: MIT

#include "report/call_stacks.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/report.h"
#include "report/sites.h"
#include "report/units.h"

namespace heapster::report {

namespace {

// Stands in, so that each stack has a beginning.
const reader::Location kCutOff{"[cut off]", "", 0, false};

std::string hex_text(const uint8_t* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

uint64_t whole_blocks(uint64_t in_256ths) { return static_cast<uint64_t>(blocks_of(in_256ths)); }

}  // namespace

Amounts& Amounts::operator+=(const Amounts& more) {
  for (uint64_t Amounts::*value : {&Amounts::alloc_blocks, &Amounts::alloc_bytes, &Amounts::live_blocks,
                                   &Amounts::live_bytes, &Amounts::peak_blocks, &Amounts::peak_bytes})
    this->*value += more.*value;
  return *this;
}

Amounts amounts_of(const reader::StackFigures& figures) {
  return {whole_blocks(figures.alloc_count),  figures.alloc_bytes,
          whole_blocks(figures.live_count()), figures.live_bytes(),
          whole_blocks(figures.peak_count),   figures.peak_bytes};
}

Amounts amounts_without_stack(const reader::Stacks& stacks) {
  reader::StackFigures sum;
  for (const reader::Sample& sample : stacks.samples) {
    if (sample.stack) continue;
    sum.alloc_count += sample.weight_count;
    sum.alloc_bytes += sample.weight_bytes;
  }
  return amounts_of(sum);
}

std::vector<reader::Frame> frames_of(const reader::Stack& stack) {
  return stack.frames.empty() ? std::vector{kNoFrame} : stack.frames;
}

std::vector<CallStack> call_stacks(const reader::Stacks& stacks, const reader::Names& names) {
  std::vector<CallStack> result;
  for (const reader::Stack& stack : stacks.stacks) {
    CallStack& made = result.emplace_back(CallStack{{}, amounts_of(stack.figures), &stack});
    if (stack.frames.empty()) {
      made.calls.push_back({{}, &kNoStackTaken});
      continue;
    }
    if (stack.truncated) made.calls.push_back({{}, &kCutOff});
    for (size_t i = stack.frames.size(); i-- > 0;) {
      const reader::Locations& locations = names.of(stack.frames[i]);
      for (size_t k = locations.size(); k-- > 0;) made.calls.push_back({stack.frames[i], &locations[k]});
    }
  }
  const Amounts without = amounts_without_stack(stacks);
  if (without.alloc_bytes > 0) result.push_back({{{{}, &kNoStackTaken}}, without, nullptr});
  return result;
}

bool is_program(const reader::Snapshot& snapshot, const reader::Module& module) {
  const Identity& identity = snapshot.process.identity;
  if (identity.build_id_bytes > 0 && !module.build_id.empty())
    return hex_text(identity.build_id, std::min<size_t>(identity.build_id_bytes, sizeof identity.build_id)) ==
           module.build_id;
  return !module.path.empty() && module.path == snapshot.process.executable;
}

std::string call_text(const reader::Stacks& stacks, const Call& call) {
  const reader::Location& location = *call.location;
  const std::string name = printable(location.function.str());
  if (!location.file.empty())
    return fmt::format("{:#x}: {} ({}:{})", call.frame.address, name, printable(location.file.str()), location.line);
  if (call.frame.module >= stacks.modules.size()) return fmt::format("{:#x}: {}", call.frame.address, name);
  return fmt::format("{:#x}: {} (in {})", call.frame.address, name, printable(stacks.modules[call.frame.module].path));
}

void CallTree::add(const std::vector<std::string>& path, const Amounts& more) {
  CallTree* node = this;
  node->amounts += more;
  for (const std::string& step : path) {
    std::unique_ptr<CallTree>& child = node->children[step];
    if (!child) child = std::make_unique<CallTree>();
    node = child.get();
    node->amounts += more;
  }
}

std::string help_of(const WeightInfo& info, const reader::Snapshot& snapshot) {
  const std::string when = info.weight == Weight::kPeak ? near_peak_text(snapshot) : "";
  return when.empty() ? std::string(info.help) : "bytes live " + when;
}

}  // namespace heapster::report
