// SPDX-License-Identifier: MIT

#include "sections.h"

#include <algorithm>
#include <cstring>

#include "stack_tables.h"

namespace heapster::test {

namespace {

constexpr int64_t kLaterThanAny = 1'000'000'000;  // nanoseconds: the points are a millisecond apart
constexpr uint64_t kProgram = 0x555555554000;

// As many items of every table as `filled` asks of one, and one of each other. What names nothing is left out by the
// reader, so each table names what is there.
StackTables tables_of(const Filled& filled) {
  const auto wanted = [&](SectionType type) { return filled.type == type ? filled.items : 1; };
  StackTables tables(1);
  for (uint64_t i = 0; i < wanted(SectionType::kModules); ++i)
    tables.add_module("/usr/bin/program", kProgram + i * 4096, kProgram + i * 4096 + 4096, kProgram, 0x11);
  const uint64_t frames = wanted(SectionType::kFrames);
  tables.frames.assign(frames, uint64_t{1} << kFrameAddressBits | (kProgram + 16));
  for (uint64_t i = 0; i < wanted(SectionType::kStacks); ++i) {
    Stack& stack = tables.stacks.emplace_back();
    stack = {};
    stack.depth = 1;
    stack.scope = static_cast<uint32_t>(i);  // the reader puts those together that are alike
  }
  const bool named = frames > 0 && !tables.stacks.empty();
  Sample sample{};
  sample.pointer = 4096;
  sample.bytes = sample.weight_bytes = 64;
  sample.weight_count = kWholeBlock;
  sample.stack = named ? 0 : kNoStack;
  tables.samples.assign(wanted(SectionType::kSamples), sample);
  return tables;
}

}  // namespace

std::vector<Filled> filled_sections() {
  struct Room {
    SectionType type;
    const char* name;
    uint64_t most;
  };
  constexpr Room kRooms[] = {
      {SectionType::kTimeline, "timeline", kTimelinePoints},
      {SectionType::kArenas, "arenas", kMaxArenas},
      {SectionType::kSlots, "slots", kMaxSlots},
      {SectionType::kModules, "modules", kMaxModules},
      {SectionType::kStacks, "stacks", kMaxStacks},
      {SectionType::kFrames, "frames", kMaxFrames},
      {SectionType::kSamples, "samples", kMaxSamples},
  };
  std::vector<Filled> all;
  for (const Room& room : kRooms)
    for (const uint64_t items : {uint64_t{0}, uint64_t{1}, room.most}) all.push_back({room.type, room.name, items});
  return all;
}

std::string filled_segment(Segment segment, const Filled& filled) {
  const auto wanted = [&](SectionType type) { return filled.type == type ? filled.items : 1; };
  Section& slots = segment.section(SectionType::kSlots);
  slots.used = 0;
  for (uint64_t i = 0; i < wanted(SectionType::kSlots); ++i)
    count_malloc(segment.add_slot(static_cast<uint32_t>(1000 + i), "thread"), 64, 72);
  for (uint64_t i = 0; i < wanted(SectionType::kTimeline); ++i) {
    TimelinePoint point{};
    point.time = static_cast<int64_t>(i + 1) * 1'000'000;
    segment.add_point(point);
  }
  const uint64_t arenas = segment.section(SectionType::kArenas).used = wanted(SectionType::kArenas);
  std::string bytes = tables_of(filled).behind(segment);
  // A living segment has room for each slot's earlier owner.
  bytes.resize(std::max<size_t>(bytes.size(), kSlotsOffset + wanted(SectionType::kSlots) * sizeof(Slot)));
  for (uint64_t i = 0; i < arenas; ++i) bytes[kArenasOffset + i * sizeof(heapster_arena)] = 'a';  // its name
  return bytes;
}

uint64_t items_told(const reader::Snapshot& snapshot, SectionType type) {
  const reader::Stacks stacks = snapshot.stacks.value_or(reader::Stacks{});
  switch (type) {
    case SectionType::kTimeline:  // the reader adds one of its own at the end of the process
      return static_cast<uint64_t>(
          std::count_if(snapshot.timeline.points.begin(), snapshot.timeline.points.end(),
                        [&](const auto& point) { return point[*snapshot.timeline.column("time")] < kLaterThanAny; }));
    case SectionType::kArenas:
      return snapshot.arenas.size();
    case SectionType::kSlots:
      return snapshot.threads.size();
    case SectionType::kModules:
      return stacks.modules.size();
    case SectionType::kStacks:
      return stacks.stacks.size();
    case SectionType::kFrames:
      return stacks.stacks.empty() ? 0 : stacks.stacks[0].frames.size();
    default:
      return stacks.samples.size();
  }
}

uint64_t items_expected(const Filled& filled) {
  return filled.type == SectionType::kFrames ? std::min<uint64_t>(filled.items, 1) : filled.items;
}

}  // namespace heapster::test
