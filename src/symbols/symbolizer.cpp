// SPDX-License-Identifier: MIT
//
// A frame's address is where a call returns to, which may be the first byte of the next line or of the next function;
// so the byte before it is looked up.
// Each object is opened in a helper (helper.h), which says what it found in lines of text.

#include "symbols/symbolizer.h"

#include <algorithm>
#include <cstdlib>

#include "symbols/object.h"

namespace heapster::symbols {

namespace {

std::string key_of(const reader::Module& module) {
  return module.build_id.empty() ? "path " + module.path : module.build_id;
}

// What a helper says of an object: lines that begin with one of these.
const std::string kTrouble = "!", kSilent = "-", kTable = "#", kTrusted = "~", kKept = "=", kFresh = "+";

struct Answers {
  std::vector<std::string> troubles;
  bool servers_are_silent = false;
  bool trusted = false;
  int table = 0;  // how many symbols it has; 0: debug information told
  Cache::Entries kept, fresh;
};

void take(const std::string& line, Answers& answers) {
  const std::string kind = line.substr(0, 1), rest = line.substr(std::min<size_t>(1, line.size()));
  if (kind == kTrouble) answers.troubles.push_back(rest);
  if (kind == kSilent) answers.servers_are_silent = true;
  if (kind == kTrusted) answers.trusted = true;
  if (kind == kTable) answers.table = std::atoi(rest.c_str());
  if (kind == kKept) take_line(rest, answers.kept);
  if (kind == kFresh) take_line(rest, answers.fresh);
}

std::string in_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', '?');
  return text;
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

  Answers answers;
  const std::string trouble = in_helper(
      options_.limits, [&](const Say& say) { tell(module, left, say); },
      [&](const std::string& line) { take(line, answers); });
  for (const std::string& each : answers.troubles) add_trouble(each);
  if (!trouble.empty()) add_trouble(module.path + ": " + trouble);
  if (answers.servers_are_silent) ask_no_more();
  for (const auto& [address, locations] : answers.kept)
    if (!locations.empty()) known[address] = locations;
  for (const auto& [address, locations] : answers.fresh)
    if (!locations.empty()) known[address] = locations;
  if (!trouble.empty() || answers.fresh.empty() || !answers.trusted) return;
  Cache::Entries kept = cache_.load(module.build_id, answers.table);
  kept.merge(answers.fresh);
  cache_.store(module.build_id, kept, answers.table);
}

// In a helper.
void Symbolizer::tell(const reader::Module& module, const Wanted& wanted, const Say& say) const {
  const FoundObject found = find_object(module, options_.places);
  const bool asked = asks_servers();
  Object object(module, found.path, options_.places);
  // What is not here a server may have had.
  if (!found.trouble.empty() && (!object.opened() || !found.path.empty())) say(kTrouble + in_one_line(found.trouble));
  if (asked && !asks_servers()) say(kSilent);
  if (!object.opened()) return;
  const int table = object.has_lines() ? 0 : object.symbols();
  if (!object.has_lines() && table == 0) return;
  say(kTable + std::to_string(table));
  if (object.trusted()) say(kTrusted);
  const Cache::Entries kept = cache_.load(module.build_id, table);
  for (const uint64_t address : wanted) {
    const auto place = kept.find(address);
    if (place != kept.end()) {
      say(kKept + line_of(address, place->second));
    } else {
      say(kFresh + line_of(address, object.at(address - 1)));
    }
  }
}

void Symbolizer::add_trouble(const std::string& trouble) {
  if (std::find(troubles_.begin(), troubles_.end(), trouble) == troubles_.end()) troubles_.push_back(trouble);
}

}  // namespace heapster::symbols
