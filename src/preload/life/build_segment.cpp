// SPDX-License-Identifier: MIT

#include "preload/life/build_segment.h"

#include "layout/schema.h"
#include "preload/base/clock.h"
#include "preload/base/config.h"
#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/proc.h"
#include "preload/base/process_state.h"
#include "preload/base/scratch.h"
#include "preload/base/string_store.h"
#include "preload/base/text.h"
#include "preload/life/earlier_image.h"
#include "preload/sampling/stack_tables.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_file.h"
#include "preload/segment/texts.h"
#include "preload/snapshot/reaper.h"
#include "preload/snapshot/snapshot_name.h"

namespace heapster::preload {

namespace {

constexpr size_t kLongestCommand = 1024;
constexpr size_t kLongestText = 320;

// The descent of this process: who is the root of the measured tree, this one or another.
struct Descent {
  bool is_root;
  bool is_later_image;
};

void set_root(Identity& identity, uint32_t pid, uint64_t ticks) {
  identity.root_pid = pid;
  identity.root_ticks = ticks;
}

Descent find_descent(int directory, const Origin& origin, Identity& identity) {
  const bool others = directory >= 0 && has_segments(directory);
  Descent descent{.is_root = true, .is_later_image = false};
  if (origin.start == Start::kForked) {
    descent.is_root = false;
    set_root(identity, origin.parent_pid, origin.parent_ticks);
  }
  if (config.root_pid != 0) {
    descent.is_root = config.root_pid == identity.pid && config.root_ticks == identity.start_ticks;
    set_root(identity, config.root_pid, config.root_ticks);
  } else if (descent.is_root && others) {
    uint32_t pid = 0;
    uint64_t ticks = 0;
    descent.is_root = !find_measured_ancestor(directory, identity, pid, ticks);
    if (!descent.is_root) set_root(identity, pid, ticks);
  }
  if (descent.is_root) set_root(identity, 0, 0);
  static constinit Header earlier = {};  // too large for a small stack
  if (others && save_earlier_image(directory, identity, descent.is_root, earlier)) {
    descent.is_later_image = true;
    identity.image = earlier.identity.image + 1;
    identity.start = static_cast<uint32_t>(Start::kExec);
  }
  return descent;
}

void describe(Header* header) {
  const auto describe_one = [header](uint32_t at, SectionType type, size_t item, size_t offset, size_t capacity,
                                     size_t used) {
    header->sections[at] = {static_cast<uint32_t>(type), static_cast<uint32_t>(item), offset, capacity, used};
  };
  describe_one(kTextsSection, SectionType::kTexts, 1, kTextsOffset, kTextsBytes, 0);
  describe_one(kSchemaSection, SectionType::kSchema, sizeof(FieldInfo), kSchemaOffset, kSchema.size(), kSchema.size());
  describe_one(kLiveAtPeakSection, SectionType::kLiveAtPeak, sizeof(Cell), kLiveAtPeakOffset, kBuckets, kBuckets);
  describe_one(kLiveAtForkSection, SectionType::kLiveAtFork, sizeof(Cell), kLiveAtForkOffset, kBuckets, kBuckets);
  describe_one(kTimelineSection, SectionType::kTimeline, sizeof(TimelinePoint), kTimelineOffset, kTimelinePoints, 0);
  describe_one(kArenasSection, SectionType::kArenas, sizeof(heapster_arena), kArenasOffset, kMaxArenas, 0);
  describe_one(kSlotsSection, SectionType::kSlots, sizeof(Slot), kSlotsOffset, kMaxSlots, 0);
  header->section_count = kSectionCount;
  if (stacks.there()) stacks.describe(*header);
  memcpy(reinterpret_cast<char*>(header) + kSchemaOffset, kSchema.data(), sizeof kSchema);
}

// The magic comes last: until then no reader takes the file for a segment.
void fill(Header* header, const Identity& identity, const Origin& origin) {
  describe(header);
  write_texts(header);
  header->version = kFormatVersion;
  header->header_bytes = sizeof(Header);
  header->state = static_cast<uint32_t>(State::kRunning);
  header->identity = identity;
  header->at_fork = origin.at_fork;
  keep_notes_in(header);
  __atomic_thread_fence(__ATOMIC_RELEASE);
  memcpy(header->magic, kMagic, sizeof kMagic);
}

bool place_segment(int directory, const Identity& identity) {
  const int file = directory >= 0 ? create_segment_file(directory, identity) : -1;
  if (file < 0 && !segment.map_private()) return false;
  if (config.stacks != 0) stacks.map(file);
  if (file >= 0) kernel::close(file);
  return true;
}

}  // namespace

void gather_lasting_texts(int argument_count, const char* const* arguments, const char* allocator) {
  char(&text)[sizeof scratch.bytes] = scratch.bytes;
  find_executable(argument_count > 0 ? arguments[0] : nullptr);
  end_lasting_strings();
  add_text(Text::k_executable, executable_path(), kLongestText);
  if (allocator[0] != '\0') add_text(Text::k_allocator, allocator, kLongestText);
  if (config.label[0] != '\0') add_text(Text::k_label, config.label, kLongestText);
  TextBuilder command(text, kLongestCommand);
  for (int i = 0; i < argument_count && !command.full(); ++i) command.add(arguments[i], strlen(arguments[i]) + 1);
  add_text(Text::k_command, text, command.size(), kLongestCommand);
  end_lasting_texts();
}

bool build_segment(const Origin& origin) {
  Identity identity{};
  identify(identity);
  identity.start = static_cast<uint32_t>(origin.start);
  identity.started_epoch = epoch_time();
  identity.started_monotonic = process.started;
  const int directory = open_run_directory();
  const Descent descent = find_descent(directory, origin, identity);
  const bool wanted = config.follow || (descent.is_root && !descent.is_later_image);
  bool placed = false;
  if (wanted) {
    forget_passing_strings();
    drop_passing_texts();
    choose_snapshot_paths(identity, executable_path(), descent.is_root);
    add_whole_text(Text::k_snapshot, snapshot_path());
    if (snapshot_path()[0] == '\0') add_whole_text(Text::k_dump, dump_path());
    if (directory >= 0) tidy(directory, identity);
    placed = place_segment(directory, identity);
    if (placed) fill(segment.header(), identity, origin);
  }
  if (directory >= 0) kernel::close(directory);
  return placed;
}

}  // namespace heapster::preload
