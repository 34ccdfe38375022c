// SPDX-License-Identifier: MIT

#include "preload/sampling/sample_index.h"

#include <iterator>

#include "preload/base/free_list.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/process_state.h"
#include "preload/sampling/stack_tables.h"

namespace heapster::preload {

HEAPSTER_ASIDE QuickFilter filter = {};
HEAPSTER_ASIDE LargeFilter large_filter = {};

namespace {

struct alignas(32) Bucket {
  uint32_t places[8];  // place + 1
};

// What is mapped counts against limits of the program's, so the index is small at first. A block that finds its bucket
// full goes to the next level, which is mapped then.
struct Level {
  Bucket* buckets;  // null: not there yet
  unsigned bits;

  size_t bytes() const { return sizeof(Bucket) << bits; }
};
constexpr unsigned kFirstBits = 11;
constinit Level levels[] = {{nullptr, kFirstBits}, {nullptr, 14}, {nullptr, 18}};

// Pages are spread over a whole level, and the blocks of one page lie next to each other in it: 64 bytes of addresses
// share a bucket.
HEAPSTER_HOT Bucket& bucket_for(const void* block, Bucket* buckets, unsigned bits) {
  const auto address = reinterpret_cast<uint64_t>(block);
  const uint64_t page = (address >> 12) * 0x9e3779b97f4a7c15 >> (64 - bits);
  return buckets[(page + (address >> 6 & 63)) & ((uint64_t{1} << bits) - 1)];
}

// False where there is no memory for it.
bool make(Level& level) {
  if (load(level.buckets) != nullptr) return true;
  if (load(process.silent)) return false;
  auto* mapped = static_cast<Bucket*>(kernel::map(level.bytes(), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  Bucket* none = nullptr;
  if (mapped != nullptr &&
      !__atomic_compare_exchange_n(&level.buckets, &none, mapped, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
    kernel::unmap(mapped, level.bytes());  // another thread was quicker
  return load(level.buckets) != nullptr;
}

// A byte that has reached its end stays there: it says maybe for good.
template <typename Change>
void change_byte(uint8_t& byte, Change change) {
  uint8_t seen = load(byte);
  while (seen != kFull &&
         !__atomic_compare_exchange_n(&byte, &seen, change(seen), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void add_to_filter(const void* block) {
  if (load(gate.filter_mask) == 0) return;
  change_byte(large_filter.of(block), [](uint8_t count) -> uint8_t { return count + 1; });
  change_byte(filter.of(block), [block](uint8_t byte) -> uint8_t {
    if (byte == 0) return mark_of(block);
    return byte < kSeveral ? kSeveral + 2 : byte + 1;
  });
}

// Of several blocks, the last one is not known by its mark.
void take_from_filter(const void* block) {
  if (load(gate.filter_mask) == 0) return;
  change_byte(filter.of(block), [](uint8_t byte) -> uint8_t { return byte <= kSeveral + 1 ? 0 : byte - 1; });
  change_byte(large_filter.of(block), [](uint8_t count) -> uint8_t { return count - 1; });
}

HEAPSTER_HOT uint32_t* find_in(Bucket& bucket, const void* block) {
  for (uint32_t& entry : bucket.places) {
    const uint32_t place = __atomic_load_n(&entry, __ATOMIC_ACQUIRE);
    if (place != 0 && load(stacks.sample(place - 1).pointer) == reinterpret_cast<uint64_t>(block)) return &entry;
  }
  return nullptr;
}

// In the largest one first: most are there.
__attribute__((noinline)) uint32_t* find_in_later_levels(const void* block) {
  for (size_t i = std::size(levels); i-- > 1;) {
    Bucket* buckets = load(levels[i].buckets);
    uint32_t* entry = buckets == nullptr ? nullptr : find_in(bucket_for(block, buckets, levels[i].bits), block);
    if (entry != nullptr) return entry;
  }
  return nullptr;
}

HEAPSTER_HOT uint32_t* find_entry(const void* block) {
  uint32_t* entry = find_in(bucket_for(block, load(levels[0].buckets), kFirstBits), block);
  if (HEAPSTER_LIKELY(entry != nullptr) || load(levels[1].buckets) == nullptr) return entry;
  return find_in_later_levels(block);
}

HEAPSTER_HOT bool put(Bucket& bucket, uint32_t place) {
  for (uint32_t& entry : bucket.places) {
    uint32_t none = 0;
    if (load(entry) == 0 &&
        __atomic_compare_exchange_n(&entry, &none, place + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      return true;
  }
  return false;
}

// In the smallest one first: that it is full is what the next one is for.
__attribute__((noinline)) bool put_into_later_levels(const void* block, uint32_t place) {
  for (size_t i = 1; i < std::size(levels); ++i)
    if (make(levels[i]) && put(bucket_for(block, load(levels[i].buckets), levels[i].bits), place)) return true;
  return false;
}

}  // namespace

bool start_index(bool filtered) {
  if (!make(levels[0])) return false;
  if (filtered) {
    store(gate.filter_mask, uint64_t{sizeof filter - 1});
  } else {
    filter.of(nullptr) = kFull;
  }
  return true;
}

void clear_index() {
  for (Level& level : levels) {
    if (level.buckets != nullptr) kernel::unmap(level.buckets, level.bytes());
    level.buckets = nullptr;
  }
  memset(&filter, 0, sizeof filter);
  memset(&large_filter, 0, sizeof large_filter);
  gate.filter_mask = 0;
}

bool enter_sample(const void* block, uint32_t place) {
  add_to_filter(block);
  if (HEAPSTER_LIKELY(put(bucket_for(block, load(levels[0].buckets), kFirstBits), place))) return true;
  if (put_into_later_levels(block, place)) return true;
  take_from_filter(block);
  return false;
}

uint32_t find_sample(const void* block) {
  const uint32_t* entry = find_entry(block);
  return entry == nullptr ? kNoPlace : load(*entry) - 1;
}

uint32_t take_out_sample(const void* block) {
  uint32_t* entry = find_entry(block);
  if (entry == nullptr) return kNoPlace;
  const uint32_t place = load(*entry) - 1;
  __atomic_store_n(entry, 0u, __ATOMIC_RELEASE);  // nobody else deals with this block
  take_from_filter(block);
  return place;
}

}  // namespace heapster::preload
