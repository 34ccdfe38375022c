// SPDX-License-Identifier: MIT
//
// Which scopes there are is a small table in private memory that only grows. An entry is found by a hash of the
// scope around it and the name; two threads that make the same at once may make it twice, and the reader, which goes
// by the path, adds the two up.

#include "preload/inside/scopes.h"

#include "preload/base/attributes.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/count/publish.h"
#include "preload/count/recorder.h"
#include "preload/count/threads.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/own_shard.h"

namespace heapster::preload {

namespace {

struct ScopeEntry {
  uint64_t hash;  // of the scope around it and the name; written last
  uint64_t rest;  // the name's last bytes, fewer than eight
  uint32_t name_at;
  uint32_t name_bytes;
  char path[kScopePathBytes];
};
HEAPSTER_ASIDE ScopeEntry scopes[kMaxScopes];  // from 1
constinit uint32_t scopes_taken = 1;           // entries that somebody fills, or has
constexpr uint32_t kIndexEntries = 256;
HEAPSTER_ASIDE constinit uint32_t index_of[kIndexEntries] = {};  // an entry's number, by hash

struct Name {
  const char* text;
  size_t bytes;
};

struct Key {
  uint64_t hash;
  uint64_t rest;
};

// The last bytes of a name, fewer than eight, as a number.
HEAPSTER_HOT uint64_t rest_of(const char* text, size_t bytes) {
  if (bytes >= 4) {
    uint32_t first;
    uint32_t last;
    memcpy(&first, text, 4);
    memcpy(&last, text + bytes - 4, 4);
    return uint64_t{first} << 32 | last;
  }
  if (bytes == 0) return 0;
  const auto at = [&](size_t i) { return static_cast<uint64_t>(static_cast<unsigned char>(text[i])); };
  return at(0) << 16 | at(bytes / 2) << 8 | at(bytes - 1);
}

HEAPSTER_HOT Key key_of(uint32_t around, Name name) {
  constexpr uint64_t kSpread = 0x9e3779b97f4a7c15;
  uint64_t hash = (uint64_t{around} << 32 | name.bytes) + kSpread;
  for (; name.bytes >= 8; name.text += 8, name.bytes -= 8) {
    uint64_t word;
    memcpy(&word, name.text, 8);
    hash = (hash ^ word) * kSpread;
  }
  const uint64_t rest = rest_of(name.text, name.bytes);
  hash = (hash ^ rest) * kSpread;
  hash ^= hash >> 32;
  return {hash == 0 ? 1 : hash, rest};
}

HEAPSTER_HOT bool is_named(const ScopeEntry& entry, Name name, uint64_t rest) {
  if (entry.name_bytes != name.bytes || entry.rest != rest) return false;
  const char* own = entry.path + entry.name_at;
  for (; name.bytes >= 8; own += 8, name.text += 8, name.bytes -= 8) {
    uint64_t words[2];
    memcpy(&words[0], own, 8);
    memcpy(&words[1], name.text, 8);
    if (words[0] != words[1]) return false;
  }
  return true;
}

// Fills an entry; false where the path is too long.
bool describe(ScopeEntry& entry, uint32_t around, Name name) {
  const size_t before = around == 0 ? 0 : strlen(scopes[around].path) + 1;
  if (name.bytes == 0 || before + name.bytes >= kScopePathBytes) return false;
  if (before != 0) {
    memcpy(entry.path, scopes[around].path, before - 1);
    entry.path[before - 1] = '/';
  }
  memcpy(entry.path + before, name.text, name.bytes);
  entry.name_at = static_cast<uint32_t>(before);
  entry.name_bytes = static_cast<uint32_t>(name.bytes);
  return true;
}

uint32_t take_entry() {
  uint32_t taken = load(scopes_taken);
  do {
    if (taken >= kMaxScopes) return 0;
  } while (!__atomic_compare_exchange_n(&scopes_taken, &taken, taken + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return taken;
}

HEAPSTER_COLD uint32_t add_scope(uint32_t around, Name name, Key key) {
  ScopeEntry trial{};
  if (!describe(trial, around, name)) return 0;
  trial.rest = key.rest;
  const uint32_t fresh = take_entry();
  if (fresh == 0) return 0;
  memcpy(&scopes[fresh], &trial, sizeof trial);
  __atomic_store_n(&scopes[fresh].hash, key.hash, __ATOMIC_RELEASE);
  for (uint64_t at = key.hash;; ++at) {
    uint32_t none = 0;
    if (__atomic_compare_exchange_n(&index_of[at % kIndexEntries], &none, fresh, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
      return fresh;
    }
  }
}

// A scope's number inside the one around it; 0 where it cannot be had.
uint32_t find_scope(uint32_t around, Name name) {
  const Key key = key_of(around, name);
  for (uint64_t at = key.hash;; ++at) {
    const uint32_t found = __atomic_load_n(&index_of[at % kIndexEntries], __ATOMIC_ACQUIRE);
    if (found == 0) return add_scope(around, name, key);
    const ScopeEntry& entry = scopes[found];
    if (__atomic_load_n(&entry.hash, __ATOMIC_ACQUIRE) == key.hash && is_named(entry, name, key.rest)) return found;
  }
}

// From here on the thread writes to another of its shards. What the hot path compares is handed on: the block that a
// free would call temporary, and how far the level is from where a step is due. A signal handler's calls in between
// count in the one or the other.
void switch_to(Shard* from, Shard* to) {
  store(to->last, load(from->last));
  const bool alone = load(gate.several) == 0;
  if (alone) {
    store(to->ceiling, load(to->net) + load(from->ceiling) - load(from->net));
    if (load(from->look_at) != INT64_MIN) store(to->look_at, load(to->net) + load(from->look_at) - load(from->net));
  } else {
    resume_publishing(to);
  }
  thread_state.shard = to;
  if (alone) store(from->ceiling, kNoCeiling);
}

// The process, and 1 + the slot: a fork's child has other slots.
uint64_t token_of(const Shard* shard) { return uint64_t{process.pid} << 32 | (shard->place + 1); }

Shard* shard_for(uint32_t scope) {
  const uint32_t slot = home_shard().scope_slots[scope];
  if (HEAPSTER_LIKELY(slot != 0)) return &segment.known_slot(slot - 1).now;
  return claim_scope(scope, scopes[scope].path);
}

}  // namespace

uint64_t enter_scope(const char* name, size_t bytes) {
  Shard* current = own_shard();
  if (current == nullptr) {
    find_target();
    current = own_shard();
    if (current == nullptr) return 0;
  }
  const uint64_t before = token_of(current);
  const uint32_t scope = find_scope(current->scope, {name, bytes});
  Shard* shard = scope != 0 ? shard_for(scope) : nullptr;
  if (HEAPSTER_LIKELY(shard != nullptr)) {
    switch_to(current, shard);
  } else {
    raise(Note::k_scope_refused);
  }
  return before;
}

void leave_scope(uint64_t before) {
  Shard* current = own_shard();
  if (current == nullptr || before >> 32 != process.pid) return;
  const auto place = static_cast<uint32_t>(before) - 1;
  Slot* slot = place < kMaxSlots ? segment.slot(place) : nullptr;
  if (slot == nullptr || &slot->now == current || load(slot->now.tid) != load(current->tid)) return;
  switch_to(current, &slot->now);
}

}  // namespace heapster::preload
