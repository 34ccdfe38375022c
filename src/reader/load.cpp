// SPDX-License-Identifier: MIT
//
// Putting a snapshot together: directory, texts, timeline, slots, and the verdict on whether the
// process lives. The timeline is the one part that its writer rearranges (when it is full, every
// other point goes), so it carries a stamp that is odd meanwhile; a reader that meets an odd or a
// changed stamp tries again, and after some tries keeps the points whose times still increase.

#include "reader/load.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "reader/directory.h"
#include "reader/merge.h"
#include "reader/notes.h"
#include "reader/proc.h"
#include "reader/stack_tables.h"

namespace heapster::reader {

namespace {

constexpr int kTries = 8;
constexpr double kNanoseconds = 1e9;

std::vector<std::string> split_arguments(std::string_view text) {
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\0'), text.size());
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return arguments;
}

void take_text(Process& process, Text key, std::string_view text) {
  switch (key) {
    case Text::k_executable:
      process.executable = text;
      break;
    case Text::k_command:
      process.command = split_arguments(text);
      break;
    case Text::k_label:
      process.label = text;
      break;
    case Text::k_allocator:
      process.allocator = text;
      break;
    case Text::k_boot_id:
      process.boot_id = text;
      break;
    case Text::k_snapshot:
      process.snapshot_path = text;
      break;
    case Text::k_option:
      process.options.emplace_back(text);
      break;
    case Text::k_refused:
      process.refused.emplace_back(text);
      break;
    default:
      break;  // of use to the writer alone, or of a later version
  }
}

Result<Done> read_texts(const Source& source, const Section& section, Process& process) {
  std::string bytes(section.used, '\0');
  if (!source.read(section.offset, bytes)) return Error{"truncated in its texts"};
  std::string_view rest = bytes;
  struct {
    uint16_t key, length;
  } record;
  while (rest.size() >= sizeof record) {
    std::memcpy(&record, rest.data(), sizeof record);
    rest.remove_prefix(sizeof record);
    if (record.key == 0) break;
    if (record.length > rest.size()) return Error{"damaged: length of a text"};
    take_text(process, static_cast<Text>(record.key), rest.substr(0, record.length));
    rest.remove_prefix(record.length);
  }
  return Done{};
}

Timeline decode_points(const Directory& directory, const std::string& bytes) {
  Timeline timeline;
  std::vector<const FieldInfo*> fields;
  for (const FieldInfo& field : directory.fields) {
    if (field.kind != static_cast<uint32_t>(FieldKind::kColumn)) continue;
    fields.push_back(&field);
    timeline.columns.push_back({field.name, field.unit});
  }
  const auto time = timeline.column("time");
  if (!time) return {};
  for (uint64_t i = 0; i < directory.timeline.used; ++i) {
    std::vector<int64_t> point(fields.size());
    for (size_t c = 0; c < fields.size(); ++c)
      std::memcpy(&point[c], bytes.data() + i * directory.timeline.item_bytes + fields[c]->offset, sizeof(int64_t));
    const bool later = timeline.points.empty() || point[*time] > timeline.points.back()[*time];
    if (point[*time] >= 0 && later) timeline.points.push_back(std::move(point));
  }
  return timeline;
}

bool stamp_holds(const Source& source, uint32_t stamp) {
  uint32_t again = 0;
  source.read(offsetof(Header, published) + offsetof(Published, timeline_stamp),
              {reinterpret_cast<char*>(&again), sizeof again});
  return stamp % 2 == 0 && stamp == again;
}

// Reads the timeline and, where it moved meanwhile, the directory again with it.
Result<Timeline> read_timeline(const Source& source, Directory& directory) {
  std::string bytes;
  for (int left = kTries; left > 0; --left) {
    bytes.resize(directory.timeline.used * directory.timeline.item_bytes);
    if (!source.read(directory.timeline.offset, bytes)) return Error{"truncated in its timeline"};
    if (stamp_holds(source, directory.header.published.timeline_stamp)) break;
    Result<Directory> again = left > 1 ? read_directory(source) : Result<Directory>(directory);
    if (!again) return again.error();
    directory = std::move(*again);
  }
  return decode_points(directory, bytes);
}

NoteCount note_of(uint32_t number, uint32_t count) {
  if (number < kNotes.size())
    return {std::string(kNotes[number].name), kNotes[number].effect, count, std::string(kNotes[number].text)};
  return {"note_" + std::to_string(number), Effect::trouble, count, "a note of a later version of heapster"};
}

std::vector<NoteCount> notes_of(const Header& header) {
  std::vector<NoteCount> notes;
  for (uint32_t i = 0; i < kMaxNotes; ++i)
    if (header.notes[i] != 0) notes.push_back(note_of(i, header.notes[i]));
  return notes;
}

Life life_in(const Header& header) {
  if (header.state == static_cast<uint32_t>(State::kExited)) return Life::kExited;
  if (header.state == static_cast<uint32_t>(State::kReplaced)) return Life::kReplaced;
  if (header.waited != 0) return WIFEXITED(static_cast<int>(header.waited)) ? Life::kExited : Life::kDead;
  // A snapshot that was taken on the way has its time; what was merely left behind has none.
  return header.ending.time != 0 ? Life::kRunning : Life::kDead;
}

Result<Done> read_process(const Source& source, const Directory& directory, Process& process) {
  const Header& header = directory.header;
  process.identity = header.identity;
  process.identity.build_id_bytes = std::min<uint32_t>(header.identity.build_id_bytes, sizeof header.identity.build_id);
  process.ending = header.ending;
  process.slots_used = static_cast<uint32_t>(directory.slots.used);
  process.life = life_in(header);
  if (header.waited != 0) process.wait_status = static_cast<int>(header.waited & kWaitStatus);
  process.end_seen = header.ending.time != 0;
  const uint64_t last = header.ending.time != 0 ? header.ending.time : header.published.time;
  process.duration = static_cast<double>(last) / kNanoseconds;
  process.limit = header.published.limit;
  if (const uint64_t reached = header.published.limit_reached; reached != 0)
    process.limit_reached = static_cast<double>(reached) / kNanoseconds;
  return read_texts(source, directory.texts, process);
}

// What a column of the timeline would tell now; nothing where it is none that we know.
std::optional<int64_t> present_value(const Stats& stats, const std::string& column) {
  if (column.starts_with("use_")) return stats.use.curr.value();  // the level, and the lowest and highest since before
  if (column == "alloc_count") return stats.alloc.count().value();
  if (column == "alloc_sum") return stats.alloc.bytes().value();
  if (column == "dealloc_count") return stats.dealloc.count().value();
  if (column == "realloc_copy_sum") return (stats.realloc_move.bytes() - stats.realloc_remap_sum).value();
  return std::nullopt;
}

// The figures are of a later moment than the last point where nothing happened since then.
void add_point(Snapshot& snapshot, uint64_t nanoseconds) {
  Timeline& timeline = snapshot.timeline;
  const auto time = timeline.column("time");
  if (!time || nanoseconds > INT64_MAX) return;
  const bool first = timeline.points.empty();  // all that happened fell into the first tick of the clock
  std::vector<int64_t> point = first ? std::vector<int64_t>(timeline.columns.size()) : timeline.points.back();
  if (!first && point[*time] >= static_cast<int64_t>(nanoseconds)) return;
  for (size_t i = 0; i < point.size(); ++i)
    point[i] = present_value(snapshot.stats, timeline.columns[i].name).value_or(point[i]);
  point[*time] = static_cast<int64_t>(nanoseconds);
  timeline.points.push_back(std::move(point));
}

// A module has room for the end of a long path; the program's own is told whole elsewhere.
void complete_paths(Stacks& stacks, const std::string& executable) {
  for (Module& module : stacks.modules)
    if (module.path.size() + 1 == sizeof(heapster::Module::path) && executable.ends_with(module.path))
      module.path = executable;
}

// A segment whose process is there: only the kernel knows how it stands.
void ask_the_kernel(Snapshot& snapshot, uint64_t inode, Strangers& strangers) {
  Process& process = snapshot.process;
  if (process.life != Life::kDead || process.end_seen) return;
  if (!process.boot_id.empty() && process.boot_id != strangers.boot_id()) return;  // one without /proc has none
  const auto standing = strangers.standing_of(process.identity, inode);
  if (!standing) return;
  const bool holds = standing->hold == Hold::kMapped;
  process.life = holds ? Life::kRunning : Life::kReplaced;
  if (standing->pid != process.identity.pid) process.outer_pid = standing->pid;
  if (!holds) return;
  process.boot_id = strangers.boot_id();
  const uint64_t now = nanoseconds_since_start(standing->pid, process.identity);
  process.duration = static_cast<double>(now) / kNanoseconds;
  process.end_seen = true;
  add_point(snapshot, now);
  if (!in_our_namespace(process.identity.pid_namespace)) return;  // its thread numbers mean nothing here
  for (Thread& thread : snapshot.threads) {
    const std::string name = thread.tid != 0 ? thread_name(process.identity.pid, thread.tid) : "";
    if (!name.empty()) thread.name = name;
  }
}

// What is known beside figures; the timeline has been read.
Result<Done> read_rest(const Source& source, const Directory& directory, Snapshot& snapshot) {
  Result<std::vector<Arena>> arenas = read_arenas(source, directory.arenas);
  if (!arenas) return arenas.error();
  snapshot.arenas = std::move(*arenas);
  const Result<Histogram> at_peak = read_cells(source, directory.live_at_peak);
  if (!at_peak) return at_peak.error();
  const Header& header = directory.header;
  const auto level =
      static_cast<uint64_t>(header.published.table_live) + static_cast<uint64_t>(header.at_fork.live_bytes);
  snapshot.at_peak = {*at_peak, static_cast<int64_t>(level),
                      static_cast<double>(header.published.table_time) / kNanoseconds};
  Result<std::optional<Stacks>> stacks = read_stacks(source, directory);
  if (!stacks) return stacks.error();
  snapshot.stacks = std::move(*stacks);
  if (snapshot.stacks) complete_paths(*snapshot.stacks, snapshot.process.executable);
  if (header.ending.time != 0) add_point(snapshot, header.ending.time);
  return Done{};
}

}  // namespace

Result<Snapshot> load(const Source& source, Depth depth) {
  Result<Directory> directory = read_directory(source);
  if (!directory) return directory.error();
  Snapshot snapshot;
  if (depth == Depth::kAll) {
    Result<Timeline> timeline = read_timeline(source, *directory);
    if (!timeline) return timeline.error();
    snapshot.timeline = std::move(*timeline);
  }
  if (Result<Done> merged = merge_slots(source, *directory, depth, snapshot); !merged) return merged.error();
  if (Result<Done> process = read_process(source, *directory, snapshot.process); !process) return process.error();
  snapshot.notes = notes_of(directory->header);
  if (depth == Depth::kAll)
    if (Result<Done> rest = read_rest(source, *directory, snapshot); !rest) return rest.error();
  return snapshot;
}

Result<Snapshot> load(const FileSource& file, const std::string& path, Strangers& strangers, Depth depth) {
  Result<Snapshot> snapshot = load(file, depth);
  if (!snapshot) return Error{path + ": " + snapshot.error().text};
  ask_the_kernel(*snapshot, file.inode(), strangers);
  return snapshot;
}

void tell_end(Snapshot& snapshot, const Witness& witness) {
  Process& process = snapshot.process;
  process.wait_status = static_cast<int>(witness.status & kWaitStatus);
  if (witness.oom_kills != 0)
    snapshot.notes.push_back(note_of(static_cast<uint32_t>(Note::k_oom_kill), witness.oom_kills));
  if (process.life != Life::kDead || process.end_seen) return;
  process.life = WIFEXITED(*process.wait_status) ? Life::kExited : Life::kDead;
  process.end_seen = true;
  process.ending.time = std::max<uint64_t>(witness.time, 1);
  process.duration = static_cast<double>(process.ending.time) / kNanoseconds;
  add_point(snapshot, process.ending.time);
}

Result<Snapshot> load(const std::string& path, Strangers& strangers) {
  const Result<FileSource> file = FileSource::open(path);
  if (!file) return file.error();
  return load(*file, path, strangers, Depth::kAll);
}

Result<Snapshot> load(const std::string& path, Links links) {
  const Result<FileSource> file = FileSource::open(path, links);
  if (!file) return file.error();
  Strangers strangers;
  return load(*file, path, strangers, Depth::kAll);
}

}  // namespace heapster::reader
