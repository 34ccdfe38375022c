// SPDX-License-Identifier: MIT

#include "preload/inside/arenas.h"

#include "preload/base/attributes.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/words.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"

namespace heapster::preload {

namespace {

constexpr uint64_t kRefused = UINT32_MAX;  // there was no room for this one

heapster_arena* table() { return segment.at<heapster_arena>(kArenasOffset); }

bool is_named(const heapster_arena& arena, const char* name) {
  for (size_t i = 0; i + 1 < sizeof arena.name; ++i) {
    if (load(arena.name[i]) != name[i]) return false;
    if (name[i] == '\0') return true;
  }
  return true;
}

uint64_t find(const char* name, uint64_t below) {
  for (uint64_t i = 0; i < below; ++i) {
    if (is_named(table()[i], name)) return i;
  }
  return below;
}

// A reader takes an entry for there once it has a name, whose first letter is written last.
void give_name(heapster_arena& arena, const char* name) {
  for (size_t i = 1; name[i - 1] != '\0' && i + 1 < sizeof arena.name; ++i) store(arena.name[i], name[i]);
  __atomic_store_n(&arena.name[0], name[0], __ATOMIC_RELEASE);
}

// The entry of that name, which is made if it is new. Two threads that make the same at once both take the first.
HEAPSTER_COLD uint64_t find_or_add(const char* name) {
  uint64_t& used = segment.header()->sections[kArenasSection].used;
  uint64_t fresh = load(used);
  do {
    if (const uint64_t found = find(name, fresh); found != fresh) return found;
    if (name[0] == '\0' || fresh == kMaxArenas || (!load(process.silent) && !segment.ensure_arenas())) {
      raise(Note::k_arena_refused);
      return kRefused;
    }
  } while (!__atomic_compare_exchange_n(&used, &fresh, fresh + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  give_name(table()[fresh], name);
  return find(name, fresh + 1);
}

// The handle keeps the process and 1 + the place: a fork's child has a table of its own.
heapster_arena* entry_of(heapster_arena_handle& handle) {
  uint64_t id = load(handle.id);
  if (HEAPSTER_UNLIKELY(id >> 32 != process.pid)) {
    id = uint64_t{process.pid} << 32 | find_or_add(handle.name);
    store(handle.id, id);
  }
  const auto place = static_cast<uint32_t>(id);
  return place < kMaxArenas ? &table()[place] : nullptr;
}

void raise_to(uint64_t& highest, uint64_t value) {
  uint64_t seen = load(highest);
  while (static_cast<int64_t>(value) > static_cast<int64_t>(seen) &&
         !__atomic_compare_exchange_n(&highest, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

}  // namespace

// Nothing asked for and nothing given back look the same, so 0 is neither: what counted as the one would never be
// taken back by the other.
void arena_asked(heapster_arena_handle& arena, int64_t bytes) {
  if (bytes == 0) return;
  heapster_arena* entry = entry_of(arena);
  if (entry == nullptr) return;
  const auto change = static_cast<uint64_t>(bytes);
  const uint64_t now = __atomic_add_fetch(&entry->use_curr, change, __ATOMIC_RELAXED);
  if (bytes < 0) {
    Together::add(entry->dealloc_count, uint64_t{1});
    Together::add(entry->dealloc_sum, -change);
  } else {
    Together::add(entry->alloc_count, uint64_t{1});
    Together::add(entry->alloc_sum, change);
    raise_to(entry->use_max, now);
  }
}

void arena_upstream(heapster_arena_handle& arena, int64_t bytes) {
  if (bytes == 0) return;
  heapster_arena* entry = entry_of(arena);
  if (entry == nullptr) return;
  const auto change = static_cast<uint64_t>(bytes);
  const uint64_t now = __atomic_add_fetch(&entry->upstream_curr, change, __ATOMIC_RELAXED);
  if (bytes < 0) return;
  Together::add(entry->upstream_count, uint64_t{1});
  Together::add(entry->upstream_sum, change);
  raise_to(entry->upstream_max, now);
}

void arena_reset(heapster_arena_handle& arena, uint64_t blocks, uint64_t bytes) {
  heapster_arena* entry = entry_of(arena);
  if (entry == nullptr) return;
  Together::add(entry->use_curr, -bytes);
  Together::add(entry->dealloc_count, blocks);
  Together::add(entry->dealloc_sum, bytes);
  Together::add(entry->reset_count, uint64_t{1});
}

}  // namespace heapster::preload
