// SPDX-License-Identifier: MIT
//
// The tables of sampled stacks (layout/stacks.h) as the preload fills them: each grows at its end by a
// fetch-add, and whatever is looked up goes through an index in private memory. Nothing waits; what finds no
// room is dropped and counted.

#pragma once

#include "layout/stacks.h"
#include "preload/base/attributes.h"
#include "preload/base/growing_memory.h"
#include "preload/sampling/thread_samples.h"
#include "unwind/capture.h"

namespace heapster::preload {

// How stacks are looked up. Private memory, and only there where stacks were asked for.
struct StackIndexes {
  static constexpr uint32_t kEntries = 2 * kMaxStacks;

  unwind::RowCache rows;
  uint32_t stacks[kEntries];  // place + 1, by hash
  unwind::Trail spare_trail;
};

class StackTables {
 public:
  // Maps the tables, from the segment's file or, for -1, from private memory. False: there are none.
  bool map(int fd);
  // In a fork's child: forgets the parent's.
  void abandon();
  bool there() const { return base_ != nullptr; }
  void describe(Header& header) const;

  Sampling& sampling() const { return *at<Sampling>(kSamplingOffset); }
  Stack& stack(uint32_t index) const { return at<Stack>(kStacksOffset)[index]; }
  Sample& sample(uint32_t index) const { return at<Sample>(kSamplesOffset)[index]; }
  const char* part(size_t offset) const { return at<const char>(offset); }

  // The place of a stack in a scope as `writer` has it, which is entered if it is new; kNoStack where there is no room.
  uint32_t enter(const uint64_t* frames, unsigned depth, bool truncated, uint32_t scope, uint32_t writer);
  // The same stack as another writer has it.
  uint32_t enter_again(const Stack& stack, uint32_t writer);
  // A sample's place that nobody uses, at best of the thread's own; kNoPlace where there is none.
  uint32_t take_sample(const HeldSamples& own) {
    return own && own->spare_count != 0 ? own->spares[--own->spare_count] : take_shared_sample();
  }
  void give_sample(uint32_t index, const HeldSamples& own) {
    store(sample(index).pointer, uint64_t{0});
    if (own && own->spare_count != ThreadSamples::kSpares) {
      own->spares[own->spare_count++] = index;
    } else {
      give_shared_sample(index);
    }
  }

  // Copies what each stack holds now into its figures at the peak.
  void keep_peak() const;

  // A module's number, which is entered if it is new; 0 where there is no room.
  uint16_t module_of(const Module& wanted);

  unwind::RowCache& rows() const { return indexes_->rows; }
  // Null where there is no memory for it.
  ThreadSamples* of_thread(uint32_t slot) const { return slot < load(parts_) ? &threads_[slot] : nullptr; }
  // Makes a slot's part ready for its next thread. One that ended in the middle of a sample left it in use.
  void prepare_part(uint32_t slot);
  // For a capture that finds its thread's part in use; whoever has the lock.
  unwind::Trail& spare_trail() const { return indexes_->spare_trail; }
  // An object was unloaded: others may come to lie where it was.
  void forget_rows() const;

 private:
  template <typename T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(base_ + (offset - kSamplingOffset));
  }
  uint32_t take_shared_sample();
  void give_shared_sample(uint32_t index);
  bool promise(uint32_t section, size_t bytes);
  uint64_t take(uint32_t section, uint64_t items);
  struct Wanted {
    const uint64_t* frames;
    unsigned depth;
    uint16_t flags;
    uint32_t scope;
    uint32_t writer;
    uint64_t hash;
  };
  uint32_t enter(const Wanted& wanted);
  bool same(const Stack& stack, const Wanted& wanted) const;
  uint32_t append(const Wanted& wanted);

  static constexpr uint32_t kTables = 5;

  char* base_ = nullptr;  // of the sampling; each table lies behind it as in the file
  StackIndexes* indexes_ = nullptr;
  ThreadSamples* threads_ = nullptr;
  uint32_t parts_ = 0;            // of threads that are there
  GrowingMemory rooms_[kTables];  // of the tables
  GrowingMemory threads_room_;
  uint64_t promised_[kTables] = {};  // bytes of each table that may be touched
  uint32_t refused_[kTables] = {};   // how often more was wanted since the kernel refused it
};

HEAPSTER_LOCAL extern constinit StackTables stacks;

}  // namespace heapster::preload
