// SPDX-License-Identifier: MIT
//
// The preload's side of the format in its simplest form: one buffer, no threads, no mapping.

#include "synthetic.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include "layout/bucket.h"
#include "layout/exact.h"

namespace heapster::test {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

void put(Section& section, SectionType type, size_t item, size_t offset, size_t capacity, size_t used) {
  section = {static_cast<uint32_t>(type), static_cast<uint32_t>(item), offset, capacity, used};
}

void name_owner(Shard& shard, uint32_t tid, std::string_view name) {
  shard.tid = tid;
  std::memset(shard.name, 0, sizeof shard.name);
  std::memcpy(shard.name, name.data(), std::min(name.size(), sizeof shard.name - 1));
}

void add_to(Cell& cell, uint64_t count, uint64_t bytes) {
  cell.count += count;
  cell.bytes += bytes;
}

bool is_exact(uint64_t chunk) { return chunk % kExactStep == 0 && chunk / kExactStep < kExactLines; }

// Small blocks are counted by their exact size, others in the cell of their bucket.
void count_block(Shard& shard, uint64_t usable, uint64_t ExactLine::*word, Cell SizeLine::*cell) {
  const uint64_t chunk = usable + kExactOverhead;
  if (is_exact(chunk)) {
    ++(shard.exact[chunk / kExactStep].*word);
  } else {
    add_to(shard.sizes[bucket_of(usable)].*cell, 1, usable);
  }
}

// The last freed blocks of an exact size wait. Usable bytes of the one to count now.
std::optional<uint64_t> let_wait(Shard& shard, uint64_t usable) {
  const uint64_t chunk = usable + kExactOverhead;
  if (!is_exact(chunk)) return usable;
  const uint64_t earlier = shard.waiting[0];
  std::shift_left(std::begin(shard.waiting), std::end(shard.waiting), 1);
  *std::rbegin(shard.waiting) = chunk;
  return earlier == 0 ? std::nullopt : std::optional(earlier - kExactOverhead);
}

void raise(Shard& shard, uint64_t bytes) {
  shard.net += static_cast<int64_t>(bytes);
  shard.ceiling = std::max(shard.ceiling, shard.net);
}

}  // namespace

Segment::Segment() : bytes_(kSlotsOffset, '\0') {
  Header& header = this->header();
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kFormatVersion;
  header.header_bytes = sizeof(Header);
  header.section_count = 7;
  header.state = static_cast<uint32_t>(State::kExited);
  put(header.sections[0], SectionType::kTexts, 1, kTextsOffset, kTextsBytes, 0);
  put(header.sections[1], SectionType::kSchema, sizeof(FieldInfo), kSchemaOffset, kSchemaBytes / sizeof(FieldInfo),
      kSchema.size());
  put(header.sections[2], SectionType::kLiveAtPeak, sizeof(Cell), kLiveAtPeakOffset, kBuckets, kBuckets);
  put(header.sections[3], SectionType::kLiveAtFork, sizeof(Cell), kLiveAtForkOffset, kBuckets, kBuckets);
  put(header.sections[4], SectionType::kTimeline, sizeof(TimelinePoint), kTimelineOffset, kTimelinePoints, 0);
  put(header.sections[5], SectionType::kSlots, sizeof(Slot), kSlotsOffset, kMaxSlots, 0);
  put(header.sections[6], SectionType::kArenas, sizeof(heapster_arena), kArenasOffset, kMaxArenas, 0);
  std::memcpy(bytes_.data() + kSchemaOffset, kSchema.data(), sizeof kSchema);
  header.identity.pid = 4242;
  header.identity.start_ticks = 1000;
  header.identity.started_epoch = 1'700'000'000 * kSecond;
  header.ending.time = 2 * kSecond;
  add_text(Text::k_executable, "/usr/bin/program");
  add_text(Text::k_command, std::string_view("program\0--flag\0", 15));
  add_text(Text::k_boot_id, "0b5e55ed-0000-4000-8000-000000000000");
}

Section& Segment::section(SectionType type) {
  for (Section& section : header().sections)
    if (section.type == static_cast<uint32_t>(type)) return section;
  throw std::logic_error("no such section");
}

FieldInfo& Segment::field(std::string_view name) {
  for (size_t i = 0; i < section(SectionType::kSchema).used; ++i) {
    auto& info = at<FieldInfo>(kSchemaOffset + i * sizeof(FieldInfo));
    if (name == info.name) return info;
  }
  throw std::logic_error("no such field");
}

Shard& Segment::add_slot(uint32_t tid, std::string_view name) {
  const size_t slot = section(SectionType::kSlots).used++;
  if (slot != 0) header().published.several = 1;
  bytes_.resize(kSlotsOffset + (slot + 1) * sizeof(Slot));
  name_owner(now(slot), tid, name);
  now(slot).generation = 1;
  return now(slot);
}

Shard& Segment::hand_over(size_t slot, uint32_t tid, std::string_view name) {
  before(slot) = now(slot);
  ++now(slot).generation;
  name_owner(now(slot), tid, name);
  return now(slot);
}

void Segment::add_text(Text key, std::string_view text) {
  Section& texts = section(SectionType::kTexts);
  const uint16_t record[] = {static_cast<uint16_t>(key), static_cast<uint16_t>(text.size())};
  char* const to = bytes_.data() + kTextsOffset + texts.used;
  std::memcpy(to, record, sizeof record);
  std::memcpy(to + sizeof record, text.data(), text.size());
  texts.used += sizeof record + text.size();
}

void Segment::add_point(const TimelinePoint& point) {
  at<TimelinePoint>(kTimelineOffset + section(SectionType::kTimeline).used++ * sizeof point) = point;
}

std::string Segment::bytes() const {
  return bytes_.substr(0, bytes_.size() > kSlotsOffset ? bytes_.size() - kShardBytes : bytes_.size());
}

void count_malloc(Shard& shard, uint64_t requested, uint64_t usable) {
  add_to(shard.sizes[bucket_of(requested)].alloc, 1, requested);
  count_block(shard, usable, &ExactLine::usable, &SizeLine::usable);
  raise(shard, usable);
}

void count_free(Shard& shard, uint64_t usable) {
  const std::optional<uint64_t> gone = let_wait(shard, usable);
  if (gone) count_block(shard, *gone, &ExactLine::dealloc, &SizeLine::dealloc);
  shard.net -= static_cast<int64_t>(usable);
}

void count_growth(Shard& shard, uint64_t from, uint64_t to, bool moved) {
  add_to(shard.reallocs[bucket_of(to - from)].realloc_growth, 1, to - from);
  if (moved) add_to(shard.reallocs[bucket_of(from)].realloc_move, 1, from);
  if (moved) ++shard.counters.realloc_growth_moved_count;
  shard.counters.realloc_request_sum += to;
  if (shard.growing != from) {
    add_to(shard.sizes[bucket_of(from)].live_shift, uint64_t{0} - 1, uint64_t{0} - from);
    if (shard.growing != 0) add_to(shard.sizes[bucket_of(shard.growing)].live_shift, 1, shard.growing);
  }
  shard.growing = to;
  raise(shard, to - from);
}

Segment busy_segment() {
  Segment segment;
  segment.add_text(Text::k_label, "nightly");
  segment.add_text(Text::k_allocator, "/lib/libc.so.6");
  segment.add_text(Text::k_option, "HEAPSTER_LABEL=nightly");
  segment.add_text(Text::k_refused, "HEAPSTER_SIGNAL=WINDY");
  segment.header().notes[static_cast<uint32_t>(Note::k_option_refused)] = 1;
  segment.add_slot(4242, "program");
  segment.add_slot(4243, "worker");
  for (uint64_t i = 0; i < 1500; ++i) count_malloc(segment.now(0), 24, 24);
  for (uint64_t i = 0; i < 1000; ++i) count_malloc(segment.now(0), 100, 104);
  for (uint64_t i = 0; i < 40; ++i) count_malloc(segment.now(1), 100'000, 100'008);
  for (uint64_t i = 0; i < 39; ++i) count_free(segment.now(1), 100'008);
  for (uint64_t i = 0; i < 1200; ++i) count_free(segment.now(1), 24);
  count_growth(segment.now(0), 104, 1000, true);
  segment.now(0).counters.realloc_same_count = 3;
  segment.now(0).counters.temporary_count = 17;
  Published& published = segment.header().published;
  published.peak = 4'140'320;
  published.peak_error = 131'072;
  published.peak_time = kSecond / 2;
  published.peak_since = kSecond / 2;
  published.table_live = 4'140'320;
  published.time = 2 * kSecond;
  segment.live_at_peak(bucket_of(24)) = {1500, 36'000};
  segment.live_at_peak(bucket_of(100'008)) = {40, 4'000'320};
  for (int64_t i = 0; i < 20; ++i) {
    TimelinePoint point{};
    point.time = i * 100'000'000;
    point.use_curr = i < 5 ? i * 1'000'000 : 250'000 + i * 1000;
    point.alloc_count = 100 * i;
    segment.add_point(point);
  }
  segment.header().ending.max_rss_bytes = 8 << 20;
  return segment;
}

std::string write_temporary(const std::string& name, const std::string& bytes) {
  const char* directory = std::getenv("TMPDIR");
  std::string path =
      std::string(directory ? directory : "/tmp") + "/heapster-test-" + std::to_string(getpid()) + "-" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace heapster::test
