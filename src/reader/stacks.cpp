// SPDX-License-Identifier: MIT
//
// Tables that grow while they are read. A sample names a stack, a stack names frames, a frame names a module, and each
// is written before what names it. So they are read the other way round, and the counts of each table anew before it
// is: whatever a table names, the next one then holds. A name that leads nowhere is damage, and is counted.

#include "reader/stacks.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "reader/hex.h"
#include "reader/path.h"
#include "reader/stack_tables.h"

namespace heapster::reader {

namespace {

constexpr double kNanoseconds = 1e9;
constexpr uint64_t kAddressMask = (uint64_t{1} << kFrameAddressBits) - 1;

// Calls take(place, item) for the items of a section, each cut to what this version knows of it; what an earlier one
// does not tell is 0. Those that lie in a hole are zeros, and are passed over: what a file costs is bounded by what it
// holds.
template <class Item, class Take>
Result<Done> each_item(const Source& source, const Section& section, const char* name, Take take) {
  if (section.used == 0) return Done{};
  constexpr uint64_t kPiece = 64 * 1024;
  const uint64_t in_piece = std::max<uint64_t>(kPiece / section.item_bytes, 1);
  std::vector<char> bytes;
  for (uint64_t at = 0; at < section.used;) {
    const uint64_t place = section.offset + at * section.item_bytes;
    const uint64_t data = source.data_from(place);
    at = std::min(at + (data - place) / section.item_bytes, section.used);
    const uint64_t count = std::min(in_piece, section.used - at);
    bytes.resize(count * section.item_bytes);
    if (!source.read(section.offset + at * section.item_bytes, bytes))
      return Error{std::string("truncated in its ") + name};
    for (uint64_t i = 0; i < count; ++i, ++at) {
      Item item{};
      std::memcpy(&item, bytes.data() + i * section.item_bytes, std::min<size_t>(section.item_bytes, sizeof item));
      take(at, item);
    }
  }
  return Done{};
}

// All items, in their places.
template <class Item>
Result<std::vector<Item>> read_items(const Source& source, const Section& section, const char* name) {
  std::vector<Item> items(section.used);
  const Result<Done> read =
      each_item<Item>(source, section, name, [&](uint64_t at, const Item& item) { items[at] = item; });
  return read ? Result<std::vector<Item>>(std::move(items)) : read.error();
}

Module decoded(const heapster::Module& raw) {
  Module module;
  if (raw.ready == 0) return module;
  module.start = raw.start;
  module.end = raw.end;
  module.bias = raw.bias;
  module.build_id = hex(raw.build_id, std::min<size_t>(raw.build_id_bytes, sizeof raw.build_id));
  module.path.assign(raw.path, strnlen(raw.path, sizeof raw.path));
  return module;
}

StackFigures decoded_figures(const heapster::Stack& raw, bool with_spreads) {
  StackFigures figures;
#define HEAPSTER_STACK_FIGURE(name, ...) figures.name = raw.name;
#define HEAPSTER_STACK_LATE_FIGURE HEAPSTER_STACK_FIGURE
#define HEAPSTER_STACK_SPREAD(name, ...) figures.name = raw.name;
#include "layout/stacks.def"
  if (!with_spreads)
    for (double StackFigures::*spread : kStackSpreads) figures.*spread = std::numeric_limits<double>::quiet_NaN();
  std::copy(std::begin(raw.lifetimes), std::end(raw.lifetimes), figures.lifetimes.begin());
  return figures;
}

// Modules are numbered from 1 in a frame, and 0 is none of them.
Frame decoded_frame(uint64_t word, size_t modules) {
  const uint64_t number = word >> kFrameAddressBits;
  return {word & kAddressMask, number >= 1 && number <= modules ? static_cast<uint32_t>(number - 1) : kNoModule};
}

// The file counts samples, of which small blocks have few. What is told is told of blocks: here those of one stack,
// whose sizes are alike, are given what the stack's freed blocks come to.
void weigh_lifetimes(StackFigures& figures) {
  double samples = 0;
  for (const uint64_t count : figures.lifetimes) samples += static_cast<double>(count);
  if (samples == 0) return;
  const double each = static_cast<double>(std::max<int64_t>(0, static_cast<int64_t>(figures.freed_count))) / samples;
  for (uint64_t& count : figures.lifetimes) count = static_cast<uint64_t>(static_cast<double>(count) * each);
}

class Decoder {
 public:
  Decoder(Stacks& to, bool with_spreads) : to_(to), with_spreads_(with_spreads) {}

  void stacks(const std::vector<heapster::Stack>& raw, std::span<const uint64_t> frames) {
    to_.places.assign(raw.size(), kNoStack);
    for (size_t i = 0; i < raw.size(); ++i) {
      if (raw[i].depth == 0) continue;  // not there yet
      if (raw[i].depth > kMaxDepth || uint64_t{raw[i].first_frame} + raw[i].depth > frames.size()) {
        ++to_.damaged;
        continue;
      }
      const auto own = frames.subspan(raw[i].first_frame, raw[i].depth);
      const auto [known, fresh] =
          known_.try_emplace({raw[i].scope, raw[i].flags, {own.begin(), own.end()}}, to_.stacks.size());
      to_.places[i] = static_cast<uint32_t>(known->second);
      if (fresh) {
        Stack& stack = to_.stacks.emplace_back();
        const bool taken = own.size() > 1 || own.front() != 0;  // a lone 0 stands for a stack that was not
        for (const uint64_t word : taken ? own : std::span<const uint64_t>())
          stack.frames.push_back(decoded_frame(word, to_.modules.size()));
        stack.truncated = taken && (raw[i].flags & kStackTruncated) != 0;
        stack.scope = raw[i].scope;
      }
      add(to_.stacks[known->second].figures, decoded_figures(raw[i], with_spreads_));
    }
  }

  void samples(const std::vector<std::pair<uint32_t, heapster::Sample>>& raw) {
    for (const auto& [at, sample] : raw) {
      const bool named = sample.stack != kNoStack;
      const uint32_t place = named && sample.stack < to_.places.size() ? to_.places[sample.stack] : kNoStack;
      if (named && place == kNoStack) {
        ++to_.damaged;
        continue;
      }
      to_.samples.push_back({sample.bytes, sample.weight_bytes, sample.weight_count,
                             static_cast<double>(sample.time) / kNanoseconds,
                             named ? std::optional(place) : std::nullopt, sample.slot, sample.generation, at});
    }
  }

  // What entries of several threads come to together.
  void settle() {
    std::vector<StackFigures> live(to_.stacks.size());
    for (const Sample& sample : to_.samples) {
      if (!sample.stack) continue;
      live[*sample.stack].samples += 1;
      live[*sample.stack].alloc_count += sample.weight_count;
      live[*sample.stack].alloc_bytes += sample.weight_bytes;
    }
    for (size_t i = 0; i < live.size(); ++i) {
      StackFigures& figures = to_.stacks[i].figures;
      // At the peak they were read one after the other, and what one thread freed may be there without its allocation.
      for (uint64_t* level : {&figures.peak_count, &figures.peak_bytes, &figures.peak_samples})
        if (static_cast<int64_t>(*level) < 0) *level = 0;
      if (to_.sampling.mean_bytes > 1) weigh_lifetimes(figures);
      // Whoever frees another's block and finds no room for an entry of his own could not tell. The samples can.
      if (to_.sampling.stacks_dropped == 0) continue;
      const auto at_least = [](uint64_t& freed, uint64_t all, uint64_t lives) {
        freed = std::max(freed, all - std::min(all, lives));
      };
      at_least(figures.freed_samples, figures.samples, live[i].samples);
      at_least(figures.freed_count, figures.alloc_count, live[i].alloc_count);
      at_least(figures.freed_bytes, figures.alloc_bytes, live[i].alloc_bytes);
    }
  }

 private:
  Stacks& to_;
  bool with_spreads_;
  // Each thread writes to entries of its own, so one stack may have several: by scope, flags and frames.
  std::map<std::tuple<uint32_t, uint16_t, std::vector<uint64_t>>, size_t> known_;
};

}  // namespace

std::string Module::short_name() const { return last_part(path); }

void add(StackFigures& a, const StackFigures& b) {
  for (const StackFigureInfo& figure : kStackFigures) a.*figure.value += b.*figure.value;
  for (double StackFigures::*spread : kStackSpreads) a.*spread += b.*spread;
  for (size_t i = 0; i < a.lifetimes.size(); ++i) a.lifetimes[i] += b.lifetimes[i];
}

StackFigures Stacks::total() const {
  StackFigures sum;
  for (const Stack& stack : stacks) add(sum, stack.figures);
  return sum;
}

Result<std::optional<Stacks>> read_stacks(const Source& source, const Directory& directory) {
  if (directory.sampling.used == 0) return std::optional<Stacks>();
  std::vector<std::pair<uint32_t, heapster::Sample>> samples;  // with their places
  const auto taken = each_item<heapster::Sample>(source, directory.samples, "samples",
                                                 [&](uint64_t at, const heapster::Sample& sample) {
                                                   if (sample.pointer != 0)
                                                     samples.emplace_back(static_cast<uint32_t>(at), sample);
                                                 });
  if (!taken) return taken.error();
  const Result<Directory> second = read_directory(source);
  if (!second) return second.error();
  const auto stacks = read_items<heapster::Stack>(source, second->stacks, "stacks");
  if (!stacks) return stacks.error();
  const Result<Directory> third = read_directory(source);
  if (!third) return third.error();
  const auto frames = read_items<uint64_t>(source, third->frames, "frames");
  if (!frames) return frames.error();
  const auto modules = read_items<heapster::Module>(source, third->modules, "modules");
  if (!modules) return modules.error();
  const auto sampling = read_items<Sampling>(source, directory.sampling, "sampling");
  if (!sampling) return sampling.error();

  Stacks result;
  result.sampling = sampling->front();
  for (const heapster::Module& module : *modules) result.modules.push_back(decoded(module));
  Decoder decoder(result, second->stacks.item_bytes >= sizeof(heapster::Stack));
  decoder.stacks(*stacks, *frames);
  decoder.samples(samples);
  decoder.settle();
  return std::optional(std::move(result));
}

}  // namespace heapster::reader
