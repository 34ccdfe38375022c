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
  std::vector<char> before;  // empty where nobody owned the slot earlier
  ShardHead head;
};

Result<RawSlot> read_once(const Source& source, const Directory& directory, uint64_t slot, Depth depth) {
  RawSlot raw{std::vector<char>(directory.shard_bytes()), {}, {}};
  if (!source.read(directory.now_offset(slot), raw.now)) return Error{"truncated in its slots"};
  raw.head = shard_head(raw.now);
  if (raw.head.generation <= 1 || depth != Depth::kAll) return raw;
  raw.before.resize(directory.shard_bytes());
  if (!source.read(directory.before_offset(slot), raw.before)) return Error{"truncated in its slots"};
  return raw;
}

bool same_owner(const Source& source, const Directory& directory, uint64_t slot, uint32_t generation) {
  uint32_t again = 0;
  source.read(directory.now_offset(slot) + offsetof(Shard, generation),
              {reinterpret_cast<char*>(&again), sizeof again});
  return again == generation;
}

Result<RawSlot> read_slot(const Source& source, const Directory& directory, uint64_t slot, Depth depth) {
  for (int left = kTries;; --left) {
    Result<RawSlot> raw = read_once(source, directory, slot, depth);
    if (!raw || left == 0 || depth != Depth::kAll || same_owner(source, directory, slot, raw->head.generation))
      return raw;
  }
}

template <class T>
T value_at(const std::vector<char>& shard, uint64_t offset) {
  T value;
  std::memcpy(&value, shard.data() + offset, sizeof value);
  return value;
}

// Where a file keeps each number that we know by name, looked up once for all of its shards; and what it keeps beside.
class Decoder {
 public:
  explicit Decoder(const Directory& directory) {
    std::vector<const FieldInfo*> left;
    for (const FieldInfo& field : directory.fields)
      if (field.kind != static_cast<uint32_t>(FieldKind::kColumn)) left.push_back(&field);
#define HEAPSTER_SIZES(name, ...) name##_ = histogram(left, #name);
#define HEAPSTER_REALLOCS(name, ...) name##_ = histogram(left, #name);
#define HEAPSTER_COUNTER(name, ...) name##_ = take(left, #name, FieldKind::kWord);
#include "heapster/counters.def"
    rest_ = std::move(left);
  }

  Stats decode(const std::vector<char>& shard) const {
    Stats stats;
#define HEAPSTER_SIZES(name, ...) add_to(stats.name, name##_, shard);
#define HEAPSTER_REALLOCS(name, ...) add_to(stats.name, name##_, shard);
#define HEAPSTER_COUNTER(name, ...) \
  if (name##_ != nullptr) stats.name = Number(value_at<uint64_t>(shard, name##_->offset));
#include "heapster/counters.def"
    for (const FieldInfo* field : rest_) stats.unnamed.push_back(unnamed(*field, shard));
    stats.live_at_fork.known = true;
    return stats;
  }

  // Every number that the file has is known, and 0.
  Stats nothing() const {
    Stats stats;
#define HEAPSTER_SIZES(name, ...) stats.name.known = name##_[0] != nullptr;
#define HEAPSTER_REALLOCS(name, ...) stats.name.known = name##_[0] != nullptr;
#define HEAPSTER_COUNTER(name, ...) \
  if (name##_ != nullptr) stats.name = Number(0);
#include "heapster/counters.def"
    for (const FieldInfo* field : rest_) {
      const bool is_histogram = field->kind != static_cast<uint32_t>(FieldKind::kWord);
      stats.unnamed.push_back({field->name, field->unit, is_histogram, {}});
    }
    stats.live_at_fork.known = true;
    return stats;
  }

  // Adds how many blocks are of each size that is counted exactly.
  void add_lines(std::vector<uint64_t>& lines, const std::vector<char>& shard) const {
    const FieldInfo* field = usable_[1];
    if (field == nullptr) return;
    lines.resize(kExactLines);
    for (uint32_t line = 1; line < kExactLines; ++line)
      lines[line] += value_at<uint64_t>(shard, field->offset + uint64_t{line} * field->stride);
  }

 private:
  // Blocks are told in up to four fields of one name, and the cells, which are the first, say that the file knows them
  // at all.
  static constexpr FieldKind kParts[] = {FieldKind::kHistogram, FieldKind::kExact, FieldKind::kBlock,
                                         FieldKind::kWaiting};
  using Parts = std::array<const FieldInfo*, std::size(kParts)>;

  static const FieldInfo* take(std::vector<const FieldInfo*>& left, std::string_view name, FieldKind kind) {
    const auto found = std::find_if(left.begin(), left.end(), [&](const FieldInfo* f) {
      return f->kind == static_cast<uint32_t>(kind) && f->name == name;
    });
    if (found == left.end()) return nullptr;
    const FieldInfo* field = *found;
    left.erase(found);
    return field;
  }

  static Parts histogram(std::vector<const FieldInfo*>& left, std::string_view name) {
    Parts parts{};
    for (size_t i = 0; i < parts.size(); ++i) parts[i] = take(left, name, kParts[i]);
    return parts;
  }

  static void add_to(Histogram& result, const Parts& parts, const std::vector<char>& shard) {
    for (const FieldInfo* field : parts)
      if (field != nullptr) add_to(result, *field, shard);
  }

  static void add_to(Histogram& result, const FieldInfo& field, const std::vector<char>& shard) {
    switch (static_cast<FieldKind>(field.kind)) {
      case FieldKind::kHistogram:
        result.known = true;
        for (uint64_t i = 0; i < kBuckets; ++i)
          result.cells[i] = value_at<Cell>(shard, field.offset + i * field.stride);
        break;
      case FieldKind::kExact:
        for (uint32_t line = 1; line < kExactLines; ++line)
          add_blocks(result, value_at<uint64_t>(shard, field.offset + uint64_t{line} * field.stride),
                     exact_bytes(line));
        break;
      case FieldKind::kWaiting:
        for (uint32_t i = 0; i < kWaitingLines; ++i) {
          const uint64_t line = value_at<uint64_t>(shard, field.offset + uint64_t{i} * field.stride) / kExactStep;
          if (line != 0 && line < kExactLines) add_blocks(result, 1, exact_bytes(static_cast<uint32_t>(line)));
        }
        break;
      default:
        const auto bytes = value_at<uint64_t>(shard, field.offset);
        add_blocks(result, bytes != 0, bytes);
    }
  }

  static void add_blocks(Histogram& to, uint64_t count, uint64_t bytes_each) {
    Cell& cell = to.cells[bucket_of(bytes_each)];
    cell.count += count;
    cell.bytes += count * bytes_each;
  }

  static Unnamed unnamed(const FieldInfo& field, const std::vector<char>& shard) {
    const bool is_histogram = field.kind != static_cast<uint32_t>(FieldKind::kWord);
    Histogram all{.known = is_histogram};
    if (is_histogram) add_to(all, field, shard);
    const Cell sum =
        is_histogram ? Cell{all.count().word(), all.bytes().word()} : Cell{0, value_at<uint64_t>(shard, field.offset)};
    return {field.name, field.unit, is_histogram, sum};
  }

#define HEAPSTER_SIZES(name, ...) Parts name##_{};
#define HEAPSTER_REALLOCS(name, ...) Parts name##_{};
#define HEAPSTER_COUNTER(name, ...) const FieldInfo* name##_ = nullptr;
#include "heapster/counters.def"
  std::vector<const FieldInfo*> rest_;
};

std::string text_of(std::span<const char> text) { return {text.begin(), std::find(text.begin(), text.end(), '\0')}; }

// What a slot's present owner did in it.
Stats share_of(const Decoder& decoder, const RawSlot& raw, Stats stats) {
  stats.unnamed.clear();  // told for the process alone
  stats.use.curr = static_cast<uint64_t>(raw.head.net);
  if (raw.before.empty()) return stats;
  Stats before = decoder.decode(raw.before);
  before.unnamed.clear();
  subtract(stats, before);
  stats.use.curr = stats.use.curr - Number(static_cast<uint64_t>(shard_head(raw.before).net));
  return stats;
}

void add_share(Stats& stats, const Stats& share) {
  add(stats, share);
  stats.use.curr = stats.use.curr + share.use.curr;
}

// Sorts slots into threads, each with what it did in its scopes, and scopes.
class Sorter {
 public:
  explicit Sorter(const Decoder& decoder) : decoder_(decoder) {}

  void take(uint32_t slot, const RawSlot& raw, Stats stats) {
    if (raw.head.generation == 0) return;  // nobody ever owned it
    const std::string path = text_of(raw.head.scope_path);
    if (raw.head.scope == 0 || path.empty()) {
      threads_.push_back(thread_of(slot, raw, std::move(stats)));
      return;
    }
    if (raw.head.tid != 0) inside_.emplace_back(raw.head.tid, share_of(decoder_, raw, stats));
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
    std::map<uint32_t, Thread*> by_tid;
    for (Thread& thread : threads_) by_tid.try_emplace(thread.tid, &thread);
    for (const auto& [tid, share] : inside_)
      if (const auto found = by_tid.find(tid); found != by_tid.end()) add_share(found->second->stats, share);
    return std::move(threads_);
  }

  std::vector<Scope> scopes() const {
    std::vector<Scope> scopes;
    for (const auto& [path, own] : own_) {
      Scope& scope = scopes.emplace_back(own);
      scope.whole = own.own;
      const std::string within = path + "/";
      for (auto inside = own_.lower_bound(within); inside != own_.end() && inside->first.starts_with(within); ++inside)
        add_share(scope.whole, inside->second.own);
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
            share_of(decoder_, raw, std::move(stats))};
  }

  const Decoder& decoder_;
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

Result<Done> merge_slots(const Source& source, const Directory& directory, Depth depth, Snapshot& snapshot) {
  const Decoder decoder(directory);
  Stats total = decoder.nothing();
  uint64_t net = 0;
  std::optional<int64_t> headroom;  // of the shard that the only thread writes to
  Sorter sorter(decoder);
  for (uint64_t slot = 0; slot < directory.slots.used; ++slot) {
    const Result<RawSlot> raw = read_slot(source, directory, slot, depth);
    if (!raw) return raw.error();
    net += static_cast<uint64_t>(raw->head.net);
    const auto below =
        static_cast<int64_t>(static_cast<uint64_t>(raw->head.ceiling) - static_cast<uint64_t>(raw->head.net));
    if (raw->head.ceiling != kNoCeiling) headroom = std::min(headroom.value_or(below), below);
    Stats stats = decoder.decode(raw->now);
    add(total, stats);
    decoder.add_lines(total.usable_lines, raw->now);
    if (depth == Depth::kAll) sorter.take(static_cast<uint32_t>(slot), *raw, std::move(stats));
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
