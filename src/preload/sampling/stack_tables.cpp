// SPDX-License-Identifier: MIT

#include "preload/sampling/stack_tables.h"

#include "preload/base/free_list.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/words.h"
#include "preload/sampling/stack_sums.h"
#include "preload/segment/sections.h"

namespace heapster::preload {

constinit StackTables stacks;

namespace {

// The unwinder makes frames as the file holds them.
static_assert(unwind::kAddressBits == kFrameAddressBits && kMaxModules < 1u << unwind::kModuleBits);

constexpr size_t kGrain = 64 * 1024;
constinit FreeList free_samples;

struct Table {
  uint32_t section;
  SectionType type;
  uint32_t item_bytes;
  uint64_t capacity;
  size_t offset;
};
constexpr Table kAllTables[] = {
    {kSamplingSection, SectionType::kSampling, sizeof(Sampling), 1, kSamplingOffset},
    {kModulesSection, SectionType::kModules, sizeof(Module), kMaxModules, kModulesOffset},
    {kStacksSection, SectionType::kStacks, sizeof(Stack), kMaxStacks, kStacksOffset},
    {kFramesSection, SectionType::kFrames, sizeof(uint64_t), kMaxFrames, kFramesOffset},
    {kSamplesSection, SectionType::kSamples, sizeof(Sample), kMaxSamples, kSamplesOffset},
};

constexpr uint32_t index_of(uint32_t section) { return section - kSamplingSection; }

using kernel::kPage;
constexpr size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }
constexpr size_t bytes_of(const Table& table) { return whole_pages(table.capacity * table.item_bytes); }

// Behind the last table.
constexpr size_t kThreadsAt = size_t{512} << 20;
static_assert(kStacksEnd - kSamplingOffset <= kThreadsAt);

// Asking the kernel in vain costs microseconds. What it refused once is asked for again now and then.
bool is_to_be_tried(uint32_t& refused) {
  constexpr uint32_t kOneIn = 4096;
  if (load(refused) == 0 || load(refused) % kOneIn == 0) return true;
  store(refused, load(refused) + 1);
  return false;
}

Section& section(uint32_t number) { return segment.header()->sections[number]; }

uint64_t hash_of(const uint64_t* frames, unsigned depth, uint32_t scope) {
  uint64_t hash = uint64_t{scope} << 32 | depth;
  for (unsigned i = 0; i < depth; ++i) hash = (hash ^ frames[i]) * 0x9e3779b97f4a7c15, hash ^= hash >> 29;
  return hash;
}

}  // namespace

bool StackTables::map(int fd) {
  static_assert(sizeof kAllTables / sizeof *kAllTables == kTables);
  indexes_ =
      static_cast<StackIndexes*>(kernel::map(sizeof(StackIndexes), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  if (indexes_ == nullptr) return false;
  char* place = GrowingMemory::choose_place();
  base_ = place;
  bool mapped = threads_room_.map(place + kThreadsAt, kGrain, -1, 0);
  threads_ = reinterpret_cast<ThreadSamples*>(place + kThreadsAt);
  parts_ = kGrain / sizeof(ThreadSamples);
  for (const Table& table : kAllTables) {
    const size_t bytes = bytes_of(table) < kGrain ? bytes_of(table) : kGrain;
    mapped = mapped &&
             rooms_[index_of(table.section)].map(place + (table.offset - kSamplingOffset), bytes, fd, table.offset);
  }
  if (mapped && promise(kSamplingSection, sizeof(Sampling))) return true;
  abandon();
  return false;
}

void StackTables::abandon() {
  base_ = nullptr;
  for (GrowingMemory& room : rooms_) room.give_back();
  threads_room_.give_back();
  threads_ = nullptr;
  parts_ = 0;
  for (uint64_t& promised : promised_) promised = 0;
  for (uint32_t& refused : refused_) refused = 0;
  free_samples.clear();
  if (indexes_ != nullptr) kernel::unmap(indexes_, sizeof *indexes_);
  indexes_ = nullptr;
}

void StackTables::describe(Header& header) const {
  for (const Table& table : kAllTables) {
    header.sections[table.section] = {static_cast<uint32_t>(table.type), table.item_bytes, table.offset, table.capacity,
                                      table.section == kSamplingSection ? 1u : 0u};
  }
  header.section_count = kSectionCountWithStacks;
}

// True where the first bytes of a table may be touched; asks the kernel for more where needed.
bool StackTables::promise(uint32_t number, size_t bytes) {
  uint64_t& promised = promised_[index_of(number)];
  const size_t from = load(promised);
  if (bytes <= from) return true;
  uint32_t& refused = refused_[index_of(number)];
  if (process.silent || !is_to_be_tried(refused)) return false;
  const size_t all = bytes_of(kAllTables[index_of(number)]);
  size_t to = (bytes + kGrain - 1) & ~(kGrain - 1);
  if (to > all) to = all;
  if (!rooms_[index_of(number)].reach(from, to, all)) {
    if (load(refused) == 0) raise(Note::k_stacks_no_room);
    store(refused, load(refused) + 1);
    return false;
  }
  store(refused, 0u);
  uint64_t seen = from;
  while (seen < to && !__atomic_compare_exchange_n(&promised, &seen, to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return true;
}

void StackTables::prepare_part(uint32_t slot) {
  if (slot >= load(parts_)) {
    const size_t end = whole_pages((slot + size_t{1}) * sizeof(ThreadSamples));
    constexpr size_t kAll = whole_pages(size_t{kMaxSlots} * sizeof(ThreadSamples));
    if (process.silent || !threads_room_.reach(end - kPage, end, kAll)) return;
    uint32_t seen = load(parts_);
    while (seen <= slot &&
           !__atomic_compare_exchange_n(&parts_, &seen, slot + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  if (load(threads_[slot].busy) != 0) store(threads_[slot].busy, uintptr_t{0});
}

// Reserves items at a table's end; its capacity where they do not fit.
uint64_t StackTables::take(uint32_t number, uint64_t items) {
  const Table& table = kAllTables[index_of(number)];
  uint64_t& used = section(number).used;
  uint64_t first = load(used);
  do {
    if (first + items > table.capacity || !promise(number, (first + items) * table.item_bytes)) return table.capacity;
  } while (!__atomic_compare_exchange_n(&used, &first, first + items, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return first;
}

bool StackTables::same(const Stack& stack, const Wanted& wanted) const {
  // Another scope makes another hash; that two stacks share all 64 bits of it does not happen.
  if (__atomic_load_n(&stack.depth, __ATOMIC_ACQUIRE) != wanted.depth || stack.hash != wanted.hash ||
      stack.writer != wanted.writer)
    return false;
  const uint64_t* others = at<const uint64_t>(kFramesOffset) + stack.first_frame;
  for (unsigned i = 0; i < wanted.depth; ++i) {
    if (others[i] != wanted.frames[i]) return false;
  }
  return true;
}

uint32_t StackTables::append(const Wanted& wanted) {
  const uint64_t first = take(kFramesSection, wanted.depth);
  if (first == kMaxFrames) return kNoStack;
  const uint64_t place = take(kStacksSection, 1);
  if (place == kMaxStacks) return kNoStack;
  uint64_t* copy = at<uint64_t>(kFramesOffset) + first;
  for (unsigned i = 0; i < wanted.depth; ++i) copy[i] = wanted.frames[i];
  Stack& stack = this->stack(static_cast<uint32_t>(place));
  stack.hash = wanted.hash;
  stack.first_frame = static_cast<uint32_t>(first);
  stack.flags = wanted.flags;
  stack.scope = wanted.scope;
  stack.writer = wanted.writer;
  __atomic_store_n(&stack.depth, static_cast<uint16_t>(wanted.depth), __ATOMIC_RELEASE);
  return static_cast<uint32_t>(place);
}

// Two threads that enter the same stack at once may append it twice; the second copy stays unused.
uint32_t StackTables::enter(const Wanted& wanted) {
  uint32_t fresh = kNoStack;
  constexpr unsigned kProbes = 32;
  const uint64_t start = wanted.hash ^ wanted.writer * uint64_t{0x9e3779b97f4a7c15};
  for (unsigned probe = 0; probe < kProbes; ++probe) {
    uint32_t& entry = indexes_->stacks[(start + probe) % StackIndexes::kEntries];
    uint32_t found = __atomic_load_n(&entry, __ATOMIC_ACQUIRE);
    if (found == 0) {
      if (fresh == kNoStack) fresh = append(wanted);
      if (fresh == kNoStack) return kNoStack;
      if (__atomic_compare_exchange_n(&entry, &found, fresh + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    }
    if (same(stack(found - 1), wanted)) return found - 1;
  }
  return kNoStack;
}

// Each thread has stacks of its own while there is plenty of room.
uint32_t StackTables::enter(const uint64_t* frames, unsigned depth, bool truncated, uint32_t scope, uint32_t writer) {
  Wanted wanted = {frames, depth,  truncated ? uint16_t{kStackTruncated} : uint16_t{0},
                   scope,  writer, hash_of(frames, depth, scope)};
  if (load(section(kStacksSection).used) >= kMaxStacks / 2 || load(section(kFramesSection).used) >= kMaxFrames / 2)
    wanted.writer = kAnyWriter;
  const uint32_t place = enter(wanted);
  if (place == kNoStack) Together::add(sampling().stacks_dropped, uint64_t{1});
  return place;
}

uint32_t StackTables::enter_again(const Stack& stack, uint32_t writer) {
  return enter(at<const uint64_t>(kFramesOffset) + stack.first_frame, stack.depth, (stack.flags & kStackTruncated) != 0,
               stack.scope, writer);
}

uint32_t StackTables::take_shared_sample() {
  const uint32_t index = free_samples.pop([this](uint32_t i) -> uint32_t& { return sample(i).next_free; });
  if (index != kNoPlace) return index;
  const uint64_t fresh = take(kSamplesSection, 1);
  return fresh == kMaxSamples ? kNoPlace : static_cast<uint32_t>(fresh);
}

void StackTables::give_shared_sample(uint32_t index) {
  free_samples.push(index, [this](uint32_t i) -> uint32_t& { return sample(i).next_free; });
}

void StackTables::keep_peak() const {
  const uint64_t used = load(section(kStacksSection).used);
  for (uint32_t i = 0; i < used && i < kMaxStacks; ++i) {
    Stack& each = stack(i);
    if (each.depth != 0) keep_as_peak(each);
  }
}

void StackTables::forget_rows() const {
  for (unwind::RowCache::Entry& entry : indexes_->rows.entries) store(entry.row, uint64_t{0});
  __atomic_add_fetch(&indexes_->rows.age, 1u, __ATOMIC_RELAXED);
}

namespace {

bool same_module(const Module& a, const Module& b) {
  return a.start == b.start && a.end == b.end && a.build_id_bytes == b.build_id_bytes &&
         memcmp(a.build_id, b.build_id, sizeof a.build_id) == 0 && memcmp(a.path, b.path, sizeof a.path) == 0;
}

}  // namespace

uint16_t StackTables::module_of(const Module& wanted) {
  uint64_t& used = section(kModulesSection).used;
  for (uint64_t i = load(used); i-- > 0;) {
    const Module& module = at<Module>(kModulesOffset)[i];
    if (__atomic_load_n(&module.ready, __ATOMIC_ACQUIRE) != 0 && same_module(module, wanted)) {
      return static_cast<uint16_t>(i + 1);
    }
  }
  const uint64_t place = take(kModulesSection, 1);
  if (place == kMaxModules) {
    Together::add(sampling().modules_dropped, uint64_t{1});
    return 0;
  }
  Module& module = at<Module>(kModulesOffset)[place];
  memcpy(&module, &wanted, offsetof(Module, ready));
  __atomic_store_n(&module.ready, 1u, __ATOMIC_RELEASE);
  return static_cast<uint16_t>(place + 1);
}

}  // namespace heapster::preload
