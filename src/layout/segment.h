// SPDX-License-Identifier: MIT
//
// The segment: what one process's memory-mapped file holds, byte for byte. The preload writes
// these structs in place, the reader finds everything through the directory and the schema, and
// a snapshot is a copy. docs/format.md is this file in prose, for readers in other languages.
//
//     0                 4K                         8K                   32K      40K
//     +--------+--------+--------+--------+--------+--------------------+--------+-----------------+----
//     | header | texts  | schema | live   | live   | timeline           | arenas | slot 0          | slot
//     |        |        |        | at peak| at fork| 512 points of 48 B |        | now | before    | 1 …
//     +--------+--------+--------+--------+--------+--------------------+--------+-----------------+----
//
// Each page of a tmpfs file costs a starting process some microseconds, hence the tight packing.
//
// Two threads, one block of 64 bytes (72 usable) each; then the second frees the first's:
//
//     slot 0  alloc[7] = {1,  64}  usable of 72: 1  dealloc of 72: 0   net = +72
//     slot 1  alloc[7] = {1,  64}  usable of 72: 1  dealloc of 72: 1   net =   0
//     sum     alloc[7] = {2, 128}  usable of 72: 2  dealloc of 72: 1   use_curr = 72
//
// A shard has one writer and is never zeroed: a thread that ends hands it to the next as it is.
// What the next thread did alone is `now` minus `before`, the copy made at that hand-over.
//
// A thread inside a scope writes to another shard, which is the thread's for that scope and is handed on within the
// scope only: what a scope did is the sum of its shards.

#pragma once

#include <cstddef>
#include <cstdint>

#include "heapster/interface.h"
#include "layout/exact.h"

namespace heapster {

inline constexpr char kMagic[8] = {'H', 'E', 'A', 'P', 'S', 'T', 'E', 'R'};
inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint32_t kBuckets = 65;  // size 0, then [2^k, 2^(k+1)) for k = 0…63
inline constexpr uint32_t kTimelinePoints = 512;
inline constexpr uint32_t kMaxSlots = 4096;
inline constexpr uint32_t kMaxScopes = 64;  // 0 is no scope
inline constexpr uint32_t kScopePathBytes = 120;
inline constexpr uint32_t kMaxArenas = 64;
// While several shards are in use, a shard publishes when its net word has moved away from what it published last by
// more than its band, which is this wide once the shard has published a few times. It is wider where live bytes are
// many: a 256th of them, divided by the threads.
inline constexpr int64_t kPublishBound = 64 * 1024;

struct Cell {
  uint64_t count;
  uint64_t bytes;
};

// One size's cells.
struct alignas(64) SizeLine {
#define HEAPSTER_SIZES(name, ...) Cell name;
#include "heapster/counters.def"
};
static_assert(sizeof(SizeLine) == 64);

// Blocks of one exact usable size (exact.h), which are not in the cells above: a malloc of a small block and its free
// write to one such line.
struct ExactLine {
#define HEAPSTER_EXACTS(name) uint64_t name;
#include "heapster/counters.def"
};
static_assert(sizeof(ExactLine) == kExactStep);

struct ReallocLine {
#define HEAPSTER_REALLOCS(name, ...) Cell name;
#include "heapster/counters.def"
};

struct Counters {
#define HEAPSTER_COUNTER(name, ...) uint64_t name;
#include "heapster/counters.def"
};

enum class Role : uint32_t {
  kOneThread = 0,  // one writer, plain adds
  kShared = 1,     // many writers, atomic adds; stands for no thread in particular
};

struct alignas(128) Shard {
  // The words that decide when a step is due. All sizes are usable bytes.
  int64_t net;                       // allocated minus freed by this shard's writers
  int64_t ceiling;                   // see kNoCeiling
  int64_t countdown;                 // bytes left to allocate until the next step
  int64_t floor;                     // a free that finds net below this makes a step; small ones look now and then
  int64_t published;                 // net as it was last added to Published::live
  uint64_t last;                     // address of the last block allocated, for temporary_count
  uint32_t tid;                      // owner, 0 while nobody's
  uint32_t generation;               // owners so far: (slot, generation) names a thread for good
  uint32_t role;                     // Role
  uint32_t scope;                    // 0: outside any scope
  uint64_t started;                  // nanoseconds since the process started
  uint64_t pace;                     // bytes between steps: as many as make one in a tick of the coarse clock
  uint64_t stepped;                  // when the last step was, nanoseconds since the process started
  int64_t granted;                   // what countdown began with at the last step
  int64_t to_sample;                 // bytes from then until the next sample, where stacks were asked for
  uint64_t random;                   // state of the generator that draws them
  char name[16];                     // the thread's name when it took the shard
  char scope_path[kScopePathBytes];  // names from the outermost scope inwards, with '/' between; empty outside any
  uint32_t place;                    // which slot this is
  uint32_t reserved;
  uint16_t scope_slots[kMaxScopes];  // outside any scope: 1 + the thread's slot for each scope, 0 for none yet

  // From here on found by the schema only, so that a new counter moves nothing that is above.
  Counters counters;
  uint64_t growing;  // usable bytes of the block that grew last, which live_shift does not tell of yet; 0: none
  int64_t band;      // how far net may move away from `published`, either way, before the shard publishes
  int64_t look_at;   // a new highest net above this makes a step; INT64_MIN once there are several threads
  uint64_t steps;    // so far
  // Of the small blocks freed last, 16 * i for line i of `exact`, where dealloc lacks them; 0: none.
  alignas(64) uint64_t waiting[kWaitingLines];
  alignas(64) ExactLine exact[kExactLines];
  SizeLine sizes[kBuckets];
  ReallocLine reallocs[kBuckets];
};
// While only one thread was ever measured, its peak is the net of all shards at which the net of the shard that it
// writes to would reach its ceiling; the shards that it does not write to have none. With more threads, a net above the
// ceiling is published.
inline constexpr int64_t kNoCeiling = INT64_MAX;
inline constexpr size_t kShardBytes = 12288;
static_assert(sizeof(Shard) <= kShardBytes);

// A shard and the copy of it that was made when its present owner took it over. `before` stays
// a hole in the file until the first hand-over.
struct Slot {
  union {
    Shard now;
    char now_bytes[kShardBytes];
  };
  union {
    Shard before;
    char before_bytes[kShardBytes];
  };
};
static_assert(sizeof(Slot) == 2 * kShardBytes);

struct TimelinePoint {
#define HEAPSTER_COLUMN(name, ...) int64_t name;
#include "layout/timeline.def"
};

enum class SectionType : uint32_t {
  kTexts = 1,
  kSchema = 2,
  kLiveAtPeak = 3,
  kLiveAtFork = 4,
  kTimeline = 5,
  kSlots = 6,
  kSampling = 7,  // these only where stacks were asked for (stacks.h)
  kModules = 8,
  kStacks = 9,
  kFrames = 10,
  kSamples = 11,
  kArenas = 12,
};

// `used` items are in use, of `capacity` that the file may hold; only used ones need be present.
struct Section {
  uint32_t type;
  uint32_t item_bytes;
  uint64_t offset;
  uint64_t capacity;
  uint64_t used;
};
inline constexpr uint32_t kMaxSections = 16;

enum class FieldKind : uint32_t {
  kHistogram = 1,  // kBuckets cells {count, bytes}, `stride` bytes apart, in a shard
  kWord = 2,       // one word in a shard
  kColumn = 3,     // one word in a timeline point
  kExact = 4,      // kExactLines words, `stride` bytes apart, in a shard: counts that the histogram of that name lacks
  kBlock = 5,      // one word in a shard: the size of a block that the histogram of that name lacks; 0: none
  kWaiting = 6,    // kWaitingLines words, `stride` bytes apart, in a shard: 16 * i where line i lacks a block; 0: none
};

// One entry of the schema: where a stored number lies, under which name.
struct FieldInfo {
  char name[40];
  uint32_t kind;
  uint32_t offset;
  uint32_t stride;
  char unit[12];
};
static_assert(sizeof(FieldInfo) == 64);

enum class State : uint32_t {
  kRunning = 1,   // or killed, or replaced by something unmeasured: ask the kernel
  kExited = 2,    // went through exit, _exit or quick_exit
  kReplaced = 3,  // called exec; the new image saved this one
};

enum class Start : uint32_t {
  kFresh = 0,   // the first measured image of its process
  kExec = 1,    // took over from an earlier image of the same process
  kForked = 2,  // a fork's child, counting from zero over live_at_fork
};

#define HEAPSTER_NOTE(name, ...) k_##name,
enum class Note : uint32_t {
#include "layout/notes.def"
  kCount
};
#undef HEAPSTER_NOTE
inline constexpr uint32_t kMaxNotes = 64;
static_assert(static_cast<uint32_t>(Note::kCount) <= kMaxNotes);

#define HEAPSTER_TEXT(name, help) k_##name,
enum class Text : uint16_t {
  kNone = 0,
#include "layout/texts.def"
  kCount
};
#undef HEAPSTER_TEXT

struct Identity {
  uint32_t pid;
  uint32_t parent_pid;
  uint32_t uid;
  uint32_t image;          // execs of this process before this one, measured ones
  uint64_t start_ticks;    // /proc/PID/stat field 22: with pid and boot id, unique
  uint64_t pid_namespace;  // inode of /proc/PID/ns/pid
  uint32_t root_pid;       // root of the measured tree, 0 where that is this process
  uint32_t start;          // Start
  uint64_t root_ticks;
  uint64_t started_epoch;      // nanoseconds, CLOCK_REALTIME
  uint64_t started_monotonic;  // nanoseconds, CLOCK_MONOTONIC
  uint32_t build_id_bytes;
  uint8_t build_id[20];
};

// Written by publishing steps, and where a limit is set and reached. Levels are sums of the shards' net words, so in a
// forked child they do not include what lived at the fork.
struct alignas(128) Published {
  int64_t live;             // Σ published
  int64_t solo_peak;        // highest Σ net while only one thread had ever been measured: exact
  int64_t peak;             // highest Σ net seen since then
  int64_t peak_error;       // how far `peak` may be off, in files that tell no peak_bound
  uint64_t peak_time;       // when live bytes came within 1/64 of the higher of the two, nanoseconds since start
  uint64_t time;            // of the last timed step
  int64_t table_live;       // Σ net when live_at_peak was copied
  uint64_t table_time;      // and when that was
  uint64_t interval;        // nanoseconds between timeline points
  uint32_t timeline_stamp;  // odd while the timeline changes
  uint32_t slots_owned;     // shards that have an owner now
  uint32_t several;         // more than one thread was ever measured
  uint64_t limit;           // of live bytes, with those at the fork; 0: none
  uint64_t limit_reached;   // when something was first refused at it; 0: never
  int64_t peak_bound;       // highest Σ (published + band) since several threads are measured: Σ net was never above
  uint64_t peak_since;      // the last timed step before peak_time: then the level was not yet that high
};

struct AtFork {
  int64_t live_bytes;
  int64_t live_count;
};

struct Ending {
  uint64_t time;  // nanoseconds since start
  uint64_t max_rss_bytes;
  uint64_t minor_faults;
  uint64_t major_faults;
  uint64_t user_nanoseconds;
  uint64_t system_nanoseconds;
};

inline constexpr uint32_t kWaited = 0x10000;
inline constexpr uint32_t kWaitStatus = 0xffff;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;
  uint32_t section_count;
  uint32_t state;      // State
  uint32_t snapshots;  // on the signal, so far
  uint32_t waited;     // by heapster-run in what it keeps: kWaited | the status as waitpid tells it; 0: nobody knows
  Section sections[kMaxSections];
  Identity identity;
  Ending ending;  // filled at the end, and in snapshots on the signal
  AtFork at_fork;
  uint32_t notes[kMaxNotes];  // occurrences, by Note
  Published published;
};

inline constexpr size_t kTextsOffset = 1280;
inline constexpr size_t kTextsBytes = 4096 - kTextsOffset;
inline constexpr size_t kSchemaOffset = 4096;
inline constexpr size_t kSchemaBytes = 30 * sizeof(FieldInfo);
inline constexpr size_t kLiveAtPeakOffset = kSchemaOffset + kSchemaBytes;
inline constexpr size_t kLiveAtForkOffset = kLiveAtPeakOffset + kBuckets * sizeof(Cell);
inline constexpr size_t kTimelineOffset = 8192;
inline constexpr size_t kArenasOffset = kTimelineOffset + kTimelinePoints * sizeof(TimelinePoint);
inline constexpr size_t kSlotsOffset = kArenasOffset + kMaxArenas * sizeof(heapster_arena);

static_assert(sizeof(Header) <= kTextsOffset);
static_assert(kLiveAtForkOffset + kBuckets * sizeof(Cell) <= kTimelineOffset);
static_assert(sizeof(heapster_arena) == 128);
static_assert(kArenasOffset % 4096 == 0 && kSlotsOffset % 4096 == 0 && kShardBytes % 4096 == 0);

}  // namespace heapster
