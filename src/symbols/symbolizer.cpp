// SPDX-License-Identifier: MIT
//
// A frame's address is where a call returns to, which may be the first byte of the next line or of the next function;
// so the byte before it is looked up.

#include "symbols/symbolizer.h"

#include <algorithm>

#include "symbols/object.h"

namespace heapster::symbols {

namespace {

std::string key_of(const reader::Module& module) {
  return module.build_id.empty() ? "path " + module.path : module.build_id;
}

}  // namespace

Symbolizer::Symbolizer(Options options) : options_(std::move(options)), cache_(options_.cache) {
  options_.places = with_defaults(std::move(options_.places));
}

reader::Names Symbolizer::names(const reader::Stacks& stacks) {
  std::map<uint32_t, Wanted> wanted;
  std::set<reader::Frame> frames;
  for (const reader::Stack& stack : stacks.stacks)
    for (const reader::Frame& frame : stack.frames)
      if (frame.module < stacks.modules.size() && frames.insert(frame).second)
        wanted[frame.module].insert(frame.address - stacks.modules[frame.module].bias);

  size_t done = 0;
  for (const auto& [number, addresses] : wanted) {
    const reader::Module& module = stacks.modules[number];
    if (options_.progress) options_.progress(module.short_name(), done++, wanted.size());
    look_up(module, addresses, known_[key_of(module)]);
  }
  reader::Names names(stacks);
  for (const reader::Frame& frame : frames) {
    const reader::Module& module = stacks.modules[frame.module];
    const Cache::Entries& known = known_[key_of(module)];
    const auto found = known.find(frame.address - module.bias);
    if (found != known.end()) names.set(frame, found->second);
  }
  return names;
}

void Symbolizer::look_up(const reader::Module& module, const Wanted& wanted, Cache::Entries& known) {
  if (known.empty()) {
    known = cache_.load(module.build_id);
    std::erase_if(known, [](const auto& entry) { return entry.second.empty(); });
  }
  Wanted left;
  for (const uint64_t address : wanted)
    if (!known.contains(address)) left.insert(address);
  if (left.empty()) return;

  const FoundObject found = find_object(module, options_.places);
  Object object(module, found.path, options_.places);
  const bool said = std::find(troubles_.begin(), troubles_.end(), found.trouble) != troubles_.end();
  // What is not here a server may have had.
  if (!found.trouble.empty() && !said && (!object.opened() || !found.path.empty())) troubles_.push_back(found.trouble);
  if (!object.opened()) return;
  const int table = object.has_lines() ? 0 : object.symbols();
  if (!object.has_lines() && table == 0) return;
  Cache::Entries kept = cache_.load(module.build_id, table);
  const size_t before = kept.size();
  for (const uint64_t address : left) {
    const auto [place, fresh] = kept.try_emplace(address);
    if (fresh) place->second = object.at(address - 1);
    if (!place->second.empty()) known[address] = place->second;
  }
  if (kept.size() > before) cache_.store(module.build_id, kept, table);
}

}  // namespace heapster::symbols
