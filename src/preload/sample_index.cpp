// SPDX-License-Identifier: MIT

#include "preload/sample_index.h"

#include "preload/free_list.h"
#include "preload/kernel.h"
#include "preload/libc.h"
#include "preload/stack_tables.h"

namespace heapster::preload {

HEAPSTER_ASIDE QuickFilter filter = {};
HEAPSTER_ASIDE LargeFilter large_filter = {};

namespace {

constexpr unsigned kBucketBits = 18;
struct alignas(32) Bucket {
  uint32_t places[8];  // place + 1
};
constexpr size_t kIndexBytes = sizeof(Bucket) << kBucketBits;
constinit Bucket* buckets = nullptr;

// Pages are spread over the whole index, and the blocks of one page lie next to each other in it: 64 bytes of
// addresses share a bucket.
HEAPSTER_HOT Bucket& bucket_for(const void* block) {
  const auto address = reinterpret_cast<uint64_t>(block);
  const uint64_t page = (address >> 12) * 0x9e3779b97f4a7c15 >> (64 - kBucketBits);
  return buckets[(page + (address >> 6 & 63)) & ((uint64_t{1} << kBucketBits) - 1)];
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

HEAPSTER_HOT uint32_t* find_entry(const void* block) {
  for (uint32_t& entry : bucket_for(block).places) {
    const uint32_t place = __atomic_load_n(&entry, __ATOMIC_ACQUIRE);
    if (place != 0 && load(stacks.sample(place - 1).pointer) == reinterpret_cast<uint64_t>(block)) return &entry;
  }
  return nullptr;
}

}  // namespace

bool start_index(bool filtered) {
  if (buckets == nullptr)
    buckets = static_cast<Bucket*>(kernel::map(kIndexBytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  if (buckets == nullptr) return false;
  if (filtered) {
    store(gate.filter_mask, uint64_t{sizeof filter - 1});
  } else {
    filter.of(nullptr) = kFull;
  }
  return true;
}

void clear_index() {
  if (buckets == nullptr) return;
  kernel::unmap(buckets, kIndexBytes);
  buckets = nullptr;
  memset(&filter, 0, sizeof filter);
  memset(&large_filter, 0, sizeof large_filter);
  gate.filter_mask = 0;
}

bool enter_sample(const void* block, uint32_t place) {
  add_to_filter(block);
  for (uint32_t& entry : bucket_for(block).places) {
    uint32_t none = 0;
    if (load(entry) == 0 &&
        __atomic_compare_exchange_n(&entry, &none, place + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      return true;
    }
  }
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
