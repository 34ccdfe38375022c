// SPDX-License-Identifier: MIT
//
// What a segment says, as values: the one thing that everything above the reader works on. It
// holds no pointer into the file, so it stays true when the process goes on or the file goes.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layout/segment.h"
#include "reader/stacks.h"
#include "reader/stats.h"

namespace heapster::reader {

enum class Life {
  kRunning,   // and, for a snapshot: was running when it was taken
  kExited,    // ended in its own way
  kReplaced,  // exec: the process is there, this image of it is not
  kDead,      // killed, crashed, or cut off by a reboot
};
std::string_view name_of(Life life);

struct Process {
  Identity identity{};
  Ending ending{};
  Life life = Life::kExited;
  double duration = 0;                  // seconds
  bool end_seen = true;                 // false: it ended unseen, and `duration` is when it was last heard of
  std::optional<int> wait_status;       // as waitpid told it to whoever waited for its end
  uint64_t limit = 0;                   // of live bytes; 0: none
  std::optional<double> limit_reached;  // in seconds since the start, where something was refused at a limit
  uint32_t slots_used = 0;
  uint32_t outer_pid = 0;  // of a live process in another PID namespace: its number in ours
  std::string executable;
  std::vector<std::string> command;
  std::string label;
  std::string allocator;
  std::string boot_id;
  std::string snapshot_path;         // where it writes its snapshot at its end; empty: nowhere
  std::vector<std::string> options;  // VARIABLE=value
  std::vector<std::string> refused;
};

// What somebody who waited for a process knows of its end.
struct Witness {
  uint64_t time;       // nanoseconds since its start
  uint32_t status;     // as waitpid tells it
  uint32_t oom_kills;  // in its cgroup meanwhile
};

struct Thread {
  uint32_t tid = 0;  // 0: has ended, or is no single thread
  uint32_t generation = 0;
  std::string name;
  double started = 0;  // seconds since the process started
  uint32_t slot = 0;   // which it has in the file
  Stats stats;         // in all scopes
};

// A stretch of work to which the program gave a name; `use.curr` is what was allocated in it minus what was freed in
// it.
struct Scope {
  std::string path;               // names from the outermost scope inwards, with '/' between
  std::vector<uint32_t> numbers;  // by which stacks refer to it
  Stats own;                      // without the scopes inside it
  Stats whole;                    // with them
};

// An arena of the program's, as it tells of itself (heapster/memory_resource.hpp).
struct Arena {
  std::string name;
#define HEAPSTER_ARENA_FIGURE(name, ...) int64_t name = 0;
#include "heapster/arenas.def"

  // Whether what it takes from upstream is counted, and all that it has is from there.
  bool knows_upstream() const { return upstream_count > 0 && upstream_curr >= use_curr; }
  // Bytes that it took from upstream and does not use; nothing where that is not known.
  std::optional<int64_t> wasted() const {
    return knows_upstream() ? std::optional(upstream_curr - use_curr) : std::nullopt;
  }
};

struct Column {
  std::string name;
  std::string unit;
};

// The columns are the file's, so that a later version's are carried along.
struct Timeline {
  std::vector<Column> columns;
  std::vector<std::vector<int64_t>> points;

  std::optional<size_t> column(std::string_view name) const;
};

// Which sizes were alive near the highest level: the table is copied at a publishing step, when
// the level was `use_curr`.
struct AtPeak {
  Histogram live;
  int64_t use_curr = 0;
  double time = 0;
};

enum class Effect { none, partial, trouble, fact };
std::string_view name_of(Effect effect);

struct NoteCount {
  std::string name;
  Effect effect;
  uint32_t count;
  std::string text;
};

// How much of a file is read.
enum class Depth {
  kAll,
  kFigures,  // of the process as a whole, and who it is; no threads, scopes, arenas, timeline or stacks
};

struct Snapshot {
  Process process;
  Stats stats;
  std::vector<Thread> threads;
  std::vector<Scope> scopes;  // by path
  std::vector<Arena> arenas;
  Timeline timeline;
  AtPeak at_peak;
  std::vector<NoteCount> notes;
  std::optional<Stacks> stacks;  // where they were asked for
};

// Silent blindness is the worst failure of such a tool, so every snapshot has a verdict.
struct Coverage {
  std::string_view verdict;  // full, partial or none
  std::vector<std::string> reasons;
};
Coverage coverage(const Snapshot& snapshot);

// The last part of the executable's path.
std::string short_name(const Process& process);

// The number by which we can speak of it: the outer one, where it has one.
uint32_t pid_of(const Process& process);

// Whether both tell of one image of one process.
bool same_process(const Process& a, const Process& b);

}  // namespace heapster::reader
