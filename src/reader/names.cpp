// SPDX-License-Identifier: MIT

#include "reader/names.h"

#include <cinttypes>
#include <cstdio>
#include <utility>

namespace heapster::reader {

namespace {

std::string hex_text(uint64_t number) {
  char text[2 + 16 + 1];
  std::snprintf(text, sizeof text, "0x%" PRIx64, number);
  return text;
}

}  // namespace

std::string place_text(const Stacks& stacks, const Frame& frame) {
  if (frame.module >= stacks.modules.size()) return hex_text(frame.address);
  const Module& module = stacks.modules[frame.module];
  const std::string name = module.short_name();
  return (name.empty() ? "?" : name) + "+" + hex_text(frame.address - module.bias);
}

void Names::set(const Frame& frame, Locations locations) {
  if (!locations.empty()) names_[frame] = std::move(locations);
}

const Locations& Names::of(const Frame& frame) const {
  Locations& locations = names_[frame];
  if (locations.empty()) locations.push_back({place_text(*stacks_, frame), "", 0, false});
  return locations;
}

}  // namespace heapster::reader
