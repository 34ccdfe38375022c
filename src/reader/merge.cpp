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
#include <map>
#include <optional>

#include "layout/bucket.h"

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
    Histogram result;
    for (const FieldKind kind : {FieldKind::kHistogram, FieldKind::kExact, FieldKind::kBlock, FieldKind::kWaiting})
      if (const FieldInfo* field = take(name, kind)) add_to(result, *field);
    return result;
  }

  Number word(const char* name) {
    const FieldInfo* field = take(name, FieldKind::kWord);
    return field ? Number(value_at<uint64_t>(shard_, field->offset)) : Number();
  }

  std::vector<Unnamed> rest() const {
    std::vector<Unnamed> result;
    for (const FieldInfo* field : left_) {
      const bool histogram = field->kind != static_cast<uint32_t>(FieldKind::kWord);
      Histogram all{.known = histogram};
      if (histogram) add_to(all, *field);
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

  // Blocks are told in up to four fields of one name, and the cells say that the file knows them at all.
  void add_to(Histogram& result, const FieldInfo& field) const {
    switch (static_cast<FieldKind>(field.kind)) {
      case FieldKind::kHistogram:
        result.known = true;
        for (uint64_t i = 0; i < kBuckets; ++i)
          result.cells[i] = value_at<Cell>(shard_, field.offset + i * field.stride);
        break;
      case FieldKind::kExact:
        for (uint32_t line = 1; line < kExactLines; ++line)
          add_blocks(result, value_at<uint64_t>(shard_, field.offset + uint64_t{line} * field.stride),
                     exact_bytes(line));
        break;
      case FieldKind::kWaiting:
        for (uint32_t i = 0; i < kWaitingLines; ++i) {
          const uint64_t line = value_at<uint64_t>(shard_, field.offset + uint64_t{i} * field.stride) / kExactStep;
          if (line != 0 && line < kExactLines) add_blocks(result, 1, exact_bytes(static_cast<uint32_t>(line)));
        }
        break;
      default:
        const auto bytes = value_at<uint64_t>(shard_, field.offset);
        add_blocks(result, bytes != 0, bytes);
    }
  }

  static void add_blocks(Histogram& to, uint64_t count, uint64_t bytes_each) {
    Cell& cell = to.cells[bucket_of(bytes_each)];
    cell.count += count;
    cell.bytes += count * bytes_each;
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

std::string text_of(std::span<const char> text) { return {text.begin(), std::find(text.begin(), text.end(), '\0')}; }

// What a slot's present owner did in it.
Stats share_of(const Directory& directory, const RawSlot& raw, Stats stats) {
  subtract(stats, decode(directory, raw.before));
  stats.unnamed.clear();  // told for the process alone
  stats.use.curr = static_cast<uint64_t>(raw.head.net) - static_cast<uint64_t>(shard_head(raw.before).net);
  return stats;
}

void add_share(Stats& stats, const Stats& share) {
  add(stats, share);
  stats.use.curr = stats.use.curr + share.use.curr;
}

// Sorts slots into threads, each with what it did in its scopes, and scopes.
class Sorter {
 public:
  explicit Sorter(const Directory& directory) : directory_(directory) {}

  void take(uint32_t slot, const RawSlot& raw, Stats stats) {
    const std::string path = text_of(raw.head.scope_path);
    if (raw.head.scope == 0 || path.empty()) {
      threads_.push_back(thread_of(slot, raw, std::move(stats)));
      return;
    }
    if (raw.head.tid != 0) inside_.emplace_back(raw.head.tid, share_of(directory_, raw, stats));
    stats.unnamed.clear();
    stats.use.curr = static_cast<uint64_t>(raw.head.net);
    const auto [place, fresh] = own_.try_emplace(path);
    Scope& scope = place->second;
    scope.numbers.push_back(raw.head.scope);
    if (fresh) {
      scope.path = path;
      scope.own = std::move(stats);
    } else {
      add_share(scope.own, stats);
    }
  }

  std::vector<Thread> threads() {
    for (const auto& [tid, share] : inside_) {
      for (Thread& thread : threads_)
        if (thread.tid == tid) add_share(thread.stats, share);
    }
    return std::move(threads_);
  }

  std::vector<Scope> scopes() const {
    std::vector<Scope> scopes;
    for (const auto& [path, own] : own_) {
      Scope& scope = scopes.emplace_back(own);
      scope.whole = own.own;
      for (const auto& [inner, inside] : own_)
        if (inner.starts_with(path + "/")) add_share(scope.whole, inside.own);
    }
    return scopes;
  }

 private:
  Thread thread_of(uint32_t slot, const RawSlot& raw, Stats stats) const {
    const bool shared = raw.head.role == Role::kShared;
    return {shared ? 0 : raw.head.tid,
            raw.head.generation,
            shared ? "(shared)" : text_of(raw.head.name),
            static_cast<double>(raw.head.started) / 1e9,
            slot,
            share_of(directory_, raw, std::move(stats))};
  }

  const Directory& directory_;
  std::vector<Thread> threads_;
  std::vector<std::pair<uint32_t, Stats>> inside_;  // by the thread that is in there
  std::map<std::string, Scope> own_;                // by path
};

// Of a file that tells no bound but an error, which holds for the later peak.
int64_t bound_by_error(const Published& published) {
  return static_cast<int64_t>(static_cast<uint64_t>(published.peak) + static_cast<uint64_t>(published.peak_error));
}

// What the level is and was. The peak that one thread alone reached is exact and goes first,
// unless the later one is higher.
Use use_of(const Directory& directory, int64_t net, int64_t headroom) {
  const Published& published = directory.header.published;
  const auto at_fork = static_cast<uint64_t>(directory.header.at_fork.live_bytes);
  const bool solo = published.several == 0;
  const auto high = static_cast<int64_t>(static_cast<uint64_t>(net) + static_cast<uint64_t>(solo ? headroom : 0));
  const int64_t peak = std::max({high, net, published.solo_peak, solo ? net : published.peak});
  const auto curr = static_cast<int64_t>(at_fork + static_cast<uint64_t>(net));
  const auto max = static_cast<int64_t>(at_fork + static_cast<uint64_t>(peak));

  const int64_t bound = published.peak_bound != 0 ? std::max(published.peak_bound, net) : bound_by_error(published);

  Use use;
  use.curr = static_cast<uint64_t>(curr);
  use.max = static_cast<uint64_t>(std::max({max, curr, int64_t{0}}));
  use.max_error = solo || bound <= peak ? 0 : static_cast<uint64_t>(bound) - static_cast<uint64_t>(peak);
  use.max_time = static_cast<double>(published.peak_time) / 1e9;
  use.max_since = static_cast<double>(std::min(published.peak_since, published.peak_time)) / 1e9;
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

Result<std::vector<Arena>> read_arenas(const Source& source, const Section& section) {
  std::vector<Arena> arenas;
  for (uint64_t i = 0; i < section.used; ++i) {
    heapster_arena raw;
    if (!source.read(section.offset + i * section.item_bytes, {reinterpret_cast<char*>(&raw), sizeof raw}))
      return Error{"truncated in its arenas"};
    Arena arena{.name = text_of(raw.name)};
#define HEAPSTER_ARENA_FIGURE(name, ...) arena.name = static_cast<int64_t>(raw.name);
#include "heapster/arenas.def"
    if (!arena.name.empty()) arenas.push_back(std::move(arena));
  }
  return arenas;
}

Result<Done> merge_slots(const Source& source, const Directory& directory, Snapshot& snapshot) {
  // No slot yet: every number that the file has is known, and 0.
  Stats total = decode(directory, std::vector<char>(directory.shard_bytes()));
  uint64_t net = 0;
  std::optional<int64_t> headroom;  // of the shard that the only thread writes to
  Sorter sorter(directory);
  for (uint64_t slot = 0; slot < directory.slots.used; ++slot) {
    const Result<RawSlot> raw = read_slot(source, directory, slot);
    if (!raw) return raw.error();
    net += static_cast<uint64_t>(raw->head.net);
    const auto below =
        static_cast<int64_t>(static_cast<uint64_t>(raw->head.ceiling) - static_cast<uint64_t>(raw->head.net));
    if (raw->head.ceiling != kNoCeiling) headroom = std::min(headroom.value_or(below), below);
    Stats stats = decode(directory, raw->now);
    add(total, stats);
    sorter.take(static_cast<uint32_t>(slot), *raw, std::move(stats));
  }
  snapshot.threads = sorter.threads();
  snapshot.scopes = sorter.scopes();
  const Result<Histogram> at_fork = read_cells(source, directory.live_at_fork);
  if (!at_fork) return at_fork.error();
  total.live_at_fork = *at_fork;
  total.live_at_fork.known = true;
  total.use = use_of(directory, static_cast<int64_t>(net), headroom.value_or(0));
  snapshot.stats = std::move(total);
  return Done{};
}

}  // namespace heapster::reader
