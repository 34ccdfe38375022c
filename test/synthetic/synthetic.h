// SPDX-License-Identifier: MIT
//
// Segments made by hand. The builder writes through the layout's own structs, as the preload
// does, so a test can say "two threads, one block each" and then damage a single word of it.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "layout/schema.h"
#include "layout/segment.h"

namespace heapster::test {

class Segment {
 public:
  // An exited process without a thread: identity, texts, schema.
  Segment();

  Header& header() { return at<Header>(0); }
  Section& section(SectionType type);
  FieldInfo& field(std::string_view name);

  // Claims the next slot; its thread owns it in the first generation.
  Shard& add_slot(uint32_t tid, std::string_view name);
  Shard& now(size_t slot) { return at<Shard>(kSlotsOffset + slot * sizeof(Slot)); }
  Shard& before(size_t slot) { return at<Shard>(kSlotsOffset + slot * sizeof(Slot) + kShardBytes); }
  // Hands the slot to another thread, as it is.
  Shard& hand_over(size_t slot, uint32_t tid, std::string_view name);

  void add_text(Text key, std::string_view text);
  void add_point(const TimelinePoint& point);
  Cell& live_at_peak(uint32_t bucket) { return at<Cell>(kLiveAtPeakOffset + bucket * sizeof(Cell)); }
  Cell& live_at_fork(uint32_t bucket) { return at<Cell>(kLiveAtForkOffset + bucket * sizeof(Cell)); }

  // The file as a snapshot has it: up to the last slot's `now`.
  std::string bytes() const;
  // The same with room for each last `before`, like the live file.
  const std::string& whole() const { return bytes_; }

 private:
  template <class T>
  T& at(size_t offset) {
    return *reinterpret_cast<T*>(bytes_.data() + offset);
  }

  std::string bytes_;
};

// What a malloc and its free count, and what a growing realloc does.
void count_malloc(Shard& shard, uint64_t requested, uint64_t usable);
void count_free(Shard& shard, uint64_t usable);
void count_growth(Shard& shard, uint64_t from, uint64_t to, bool moved);

// A process with two threads, a peak, a timeline and every kind of text: for goldens and seeds.
Segment busy_segment();

// A file under the test's temporary directory.
std::string write_temporary(const std::string& name, const std::string& bytes);

}  // namespace heapster::test
