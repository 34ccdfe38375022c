// SPDX-License-Identifier: MIT
//
// The tables of sampled stacks (layout/stacks.h) as the preload fills them: each grows at its end by a
// fetch-add, and whatever is looked up goes through an index in private memory. Nothing waits; what finds no
// room is dropped and counted.

#pragma once

#include "layout/stacks.h"
#include "unwind/capture.h"

namespace heapster::preload {

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

  // The place of a stack in a scope, which is entered if it is new; kNoStack where there is no room.
  uint32_t enter(const uint64_t* frames, unsigned depth, bool truncated, uint32_t scope);
  // A sample's place that nobody uses; kNoPlace where there is none.
  uint32_t take_sample();
  void give_sample(uint32_t index);

  // Copies what each stack holds now into its figures at the peak.
  void keep_peak() const;

  // A module's number, which is entered if it is new; 0 where there is no room.
  uint16_t module_of(const Module& wanted);

  unwind::RowCache* rows() const;
  // An object was unloaded: others may come to lie where it was.
  void forget_rows() const;

 private:
  template <typename T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(base_ + (offset - kSamplingOffset));
  }
  bool promise(uint32_t section, size_t bytes);
  uint64_t take(uint32_t section, uint64_t items);
  bool same(const Stack& stack, uint64_t hash, const uint64_t* frames, unsigned depth) const;
  uint32_t append(uint64_t hash, const uint64_t* frames, unsigned depth, bool truncated, uint32_t scope);

  char* base_ = nullptr;
  bool is_file_ = false;
  uint64_t promised_[kMaxSections] = {};  // bytes of each table that may be touched
};

extern constinit StackTables stacks;

// Which module an address belongs to, entered if it is new, and how to unwind from there. For the unwinder.
unwind::Place place_of(uintptr_t address);

// Looks up what the C library offers for that; false where it is too old (before 2.35).
bool prepare_places();

}  // namespace heapster::preload
