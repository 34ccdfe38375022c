// SPDX-License-Identifier: MIT
//
// A live segment is read while its threads write. Each slot's word of live bytes is one word with
// one writer, so their sum is true at any moment; counts of two slots may be some microseconds
// apart. The one thing that must not be torn is a hand-over: `before` belongs to the generation
// that `now` tells, so a slot that changes hands between the two reads is read again.
//
// Fields are looked up by the name that the file gives them. Our own structs only say which names
// this version knows.

#include "reader/merge.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace heapster::reader {

namespace {

constexpr int kTries = 4;

struct RawSlot {
  std::vector<char> now;
  std::vector<char> before;  // zeros where nobody owned the slot earlier
  ShardHead head;
};

Result<RawSlot> read_once(const Source& source, const Directory& directory, uint64_t slot) {
  RawSlot raw{std::vector<char>(directory.shard_bytes()), std::vector<char>(directory.shard_bytes()), {}};
  if (!source.read(directory.now_offset(slot), raw.now)) return Error{"truncated in its slots"};
  raw.head = shard_head(raw.now);
  if (raw.head.generation > 1 && !source.read(directory.before_offset(slot), raw.before))
    return Error{"truncated in its slots"};
  return raw;
}

bool same_owner(const Source& source, const Directory& directory, uint64_t slot, uint32_t generation) {
  uint32_t again = 0;
  source.read(directory.now_offset(slot) + offsetof(Shard, generation),
              {reinterpret_cast<char*>(&again), sizeof again});
  return again == generation;
}

Result<RawSlot> read_slot(const Source& source, const Directory& directory, uint64_t slot) {
  for (int left = kTries;; --left) {
    Result<RawSlot> raw = read_once(source, directory, slot);
    if (!raw || left == 0 || same_owner(source, directory, slot, raw->head.generation)) return raw;
  }
}

template <class T>
T value_at(const std::vector<char>& shard, uint64_t offset) {
  T value;
  std::memcpy(&value, shard.data() + offset, sizeof value);
  return value;
}

// Gives each name its number out of a shard, and notes the names that nobody asked for.
class Decoder {
 public:
  Decoder(const Directory& directory, const std::vector<char>& shard) : shard_(shard) {
    for (const FieldInfo& field : directory.fields)
      if (field.kind != static_cast<uint32_t>(FieldKind::kColumn)) left_.push_back(&field);
  }

  Histogram histogram(const char* name) {
    const FieldInfo* field = take(name, FieldKind::kHistogram);
    return field ? cells(*field) : Histogram{};
  }

  Number word(const char* name) {
    const FieldInfo* field = take(name, FieldKind::kWord);
    return field ? Number(value_at<uint64_t>(shard_, field->offset)) : Number();
  }

  std::vector<Unnamed> rest() const {
    std::vector<Unnamed> result;
    for (const FieldInfo* field : left_) {
      const bool histogram = field->kind == static_cast<uint32_t>(FieldKind::kHistogram);
      const Histogram all = histogram ? cells(*field) : Histogram{};
      const Cell sum =
          histogram ? Cell{all.count().word(), all.bytes().word()} : Cell{0, value_at<uint64_t>(shard_, field->offset)};
      result.push_back({field->name, field->unit, histogram, sum});
    }
    return result;
  }

 private:
  const FieldInfo* take(std::string_view name, FieldKind kind) {
    const auto found = std::find_if(left_.begin(), left_.end(), [&](const FieldInfo* f) {
      return f->name == name && f->kind == static_cast<uint32_t>(kind);
    });
    if (found == left_.end()) return nullptr;
    const FieldInfo* field = *found;
    left_.erase(found);
    return field;
  }

  Histogram cells(const FieldInfo& field) const {
    Histogram result;
    result.known = true;
    for (uint64_t i = 0; i < kBuckets; ++i) result.cells[i] = value_at<Cell>(shard_, field.offset + i * field.stride);
    return result;
  }

  const std::vector<char>& shard_;
  std::vector<const FieldInfo*> left_;
};

Stats decode(const Directory& directory, const std::vector<char>& shard) {
  Stats stats;
  Decoder decoder(directory, shard);
#define HEAPSTER_SIZES(name, ...) stats.name = decoder.histogram(#name);
#define HEAPSTER_REALLOCS(name, ...) stats.name = decoder.histogram(#name);
#define HEAPSTER_COUNTER(name, ...) stats.name = decoder.word(#name);
#include "heapster/counters.def"
  stats.unnamed = decoder.rest();
  stats.live_at_fork.known = true;
  return stats;
}

Thread thread_of(const Directory& directory, const RawSlot& raw, Stats stats) {
  const ShardHead before = shard_head(raw.before);
  subtract(stats, decode(directory, raw.before));
  stats.unnamed.clear();  // told for the process alone
  stats.use.curr = static_cast<uint64_t>(raw.head.net) - static_cast<uint64_t>(before.net);
  const bool shared = raw.head.role == Role::kShared;
  const auto& name = raw.head.name;
  return {shared ? 0 : raw.head.tid, raw.head.generation,
          shared ? "(shared)" : std::string(name.begin(), std::find(name.begin(), name.end(), '\0')),
          static_cast<double>(raw.head.started) / 1e9, std::move(stats)};
}

// What the level is and was. The peak that one thread alone reached is exact and goes first,
// unless the later one is higher.
Use use_of(const Directory& directory, int64_t net, int64_t high) {
  const Published& published = directory.header.published;
  const auto at_fork = static_cast<uint64_t>(directory.header.at_fork.live_bytes);
  const bool solo = directory.slots.used <= 1;
  const int64_t later = solo ? std::max(high, net) : std::max(published.peak, net);
  const int64_t peak = solo ? later : std::max(later, published.solo_peak);
  const auto bound =
      static_cast<int64_t>(static_cast<uint64_t>(published.peak) + static_cast<uint64_t>(published.peak_error));
  const auto curr = static_cast<int64_t>(at_fork + static_cast<uint64_t>(net));
  const auto max = static_cast<int64_t>(at_fork + static_cast<uint64_t>(peak));

  Use use;
  use.curr = static_cast<uint64_t>(curr);
  use.max = static_cast<uint64_t>(std::max({max, curr, int64_t{0}}));
  const bool exact = solo || (peak == published.solo_peak && published.solo_peak > bound);
  use.max_error = exact ? 0 : static_cast<uint64_t>(std::max(published.peak_error, int64_t{0}));
  use.max_time = static_cast<double>(published.peak_time) / 1e9;
  return use;
}

}  // namespace

Result<Histogram> read_cells(const Source& source, const Section& section) {
  Histogram result;
  result.known = section.type != 0;
  const std::span bytes(reinterpret_cast<char*>(result.cells.data()), section.used * sizeof(Cell));
  if (section.used > 0 && !source.read(section.offset, bytes)) return Error{"truncated in its tables"};
  return result;
}

Result<Done> merge_slots(const Source& source, const Directory& directory, Snapshot& snapshot) {
  // No slot yet: every number that the file has is known, and 0.
  Stats total = decode(directory, std::vector<char>(directory.shard_bytes()));
  uint64_t net = 0;
  int64_t high = 0;
  for (uint64_t slot = 0; slot < directory.slots.used; ++slot) {
    const Result<RawSlot> raw = read_slot(source, directory, slot);
    if (!raw) return raw.error();
    net += static_cast<uint64_t>(raw->head.net);
    high = std::max(high, raw->head.ceiling);
    Stats stats = decode(directory, raw->now);
    add(total, stats);
    snapshot.threads.push_back(thread_of(directory, *raw, std::move(stats)));
  }
  const Result<Histogram> at_fork = read_cells(source, directory.live_at_fork);
  if (!at_fork) return at_fork.error();
  total.live_at_fork = *at_fork;
  total.live_at_fork.known = true;
  total.use = use_of(directory, static_cast<int64_t>(net), high);
  snapshot.stats = std::move(total);
  return Done{};
}

}  // namespace heapster::reader
