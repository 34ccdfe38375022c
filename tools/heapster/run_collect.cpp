// SPDX-License-Identifier: MIT

#include "run_collect.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "reader/directory.h"
#include "reader/dump.h"
#include "reader/executable.h"
#include "reader/load.h"
#include "report/units.h"

namespace heapster::tool {

namespace {

// "a.heap" is also written as "a.NUMBER.heap", for a later image or another process.
std::vector<std::string> files_of(const std::string& pattern, int64_t pid) {
  std::vector<std::string> paths;
  glob_t found{};
  glob(glob_of(pattern, pid).c_str(), 0, nullptr, &found);
  glob(numbered(glob_of(pattern, pid), "*").c_str(), GLOB_APPEND, nullptr, &found);
  for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

int64_t value_of(reader::Number number) { return number.value().value_or(0); }

bool is_wanted(const std::string& name) { return reader::is_segment(name) || reader::is_snapshot(name); }

}  // namespace

reader::Witness witness_of(const Ended& ended, const reader::Process& process) {
  const uint64_t started = process.identity.started_monotonic;
  return {ended.time > started ? ended.time - started : 0, static_cast<uint32_t>(ended.wait_status), ended.oom_kills};
}

Collector::Collector(Places places, std::optional<reader::HeldDirectory> run_directory)
    : places_(std::move(places)), run_(std::move(run_directory)) {
  arrivals(is_wanted);
}

void Collector::begin(Child child) {
  child_ = child;
  facts_ = {base_of(reader::loader_of(places_.program).binary), child.pid, time(nullptr), 0};
  users_.insert(geteuid());
  look_at_child();
  if (!places_.keep()) return;
  output_ = std::make_unique<Shelf>(directory_of(expand(places_.pattern, facts_)));
  const bool plain = places_.pattern.find('%') == std::string::npos;
  descendants_path_ =
      plain ? places_.pattern + ".d" : fmt::format("heapster.{}.{}.heap.d", base_of(places_.program), child.pid);
}

bool Collector::is_child(const Identity& identity) const {
  return identity.pid == static_cast<uint32_t>(child_.pid) && identity.start_ticks == child_.start_ticks;
}

bool Collector::is_ours(const Identity& identity) const {
  return is_child(identity) ||
         (identity.root_pid == static_cast<uint32_t>(child_.pid) && identity.root_ticks == child_.start_ticks);
}

// What came into the run directory since it was last looked at.
std::vector<std::string> Collector::arrivals(bool (*wanted)(const std::string&)) {
  std::vector<std::string> names;
  if (!run_) return names;
  for (const auto& [name, inode] : run_->entries(wanted)) {
    const auto [known, added] = known_.try_emplace(name, inode);
    if (added || known->second != inode) names.push_back(name);
    known->second = inode;
  }
  return names;
}

// Whether nothing came or went since the last look.
bool Collector::is_quiet() {
  struct stat status {};
  if (!run_ || fstat(run_->descriptor(), &status) != 0) return false;
  const timespec before = std::exchange(changed_, status.st_mtim);
  return before.tv_sec == changed_.tv_sec && before.tv_nsec == changed_.tv_nsec;
}

// What only a living process tells.
void Collector::look_at_child() {
  if (const std::string name = executable_of(child_.pid); !name.empty()) facts_.executable = name;
  if (const auto user = user_of(child_.pid)) users_.insert(*user);
}

void Collector::drain() {
  look_at_child();
  if (!is_quiet()) take_left_snapshots();
}

void Collector::finish(const Ended& ended) {
  take_ended_segments(ended);
  take_left_snapshots();
  if (places_.keep()) take_written_snapshots();
  std::sort(images_.begin(), images_.end(), [](const reader::Found& a, const reader::Found& b) {
    return a.snapshot.process.identity.image < b.snapshot.process.identity.image;
  });
}

// Killed processes leave their segments; so do all where no snapshot was wanted at exit.
void Collector::take_ended_segments(const Ended& ended) {
  reader::Strangers strangers;
  for (const std::string& name : arrivals(reader::is_segment)) {
    const std::string path = run_->path_of(name);
    const auto file = reader::FileSource::open_at(run_->descriptor(), name, path);
    const auto identity = file ? reader::read_identity(*file) : std::nullopt;
    if (!identity || !is_ours(*identity)) continue;
    auto snapshot = reader::load(*file, path, strangers);
    if (!snapshot) {
      complain(snapshot.error().text);
    } else if (snapshot->process.life == reader::Life::kRunning) {
      ++still_running_;
    } else {
      take_segment(name, *file, {path, std::move(*snapshot)}, ended);
    }
  }
}

// Of a segment that was written elsewhere: it goes, unless that failed. True where it went.
bool Collector::removed_or_kept(const std::string& name, const std::optional<reader::Error>& error,
                                const std::string& path) {
  if (error) {
    complain(fmt::format("{} (kept: {})", error->text, path));
  } else {
    run_->remove(name);
  }
  return !error;
}

// A segment is removed when what it holds is safe elsewhere, or nobody wants it.
void Collector::take_segment(const std::string& name, const reader::FileSource& file, reader::Found found,
                             const Ended& ended) {
  reader::Snapshot& snapshot = found.snapshot;
  const bool own = is_child(snapshot.process.identity);
  // The program's own end was seen, that of its descendants was not.
  const reader::Witness witness = witness_of(ended, snapshot.process);
  if (own && snapshot.process.life == reader::Life::kDead) reader::tell_end(snapshot, witness);
  if (!places_.keep()) {
    run_->remove(name);
  } else if (own) {
    const auto written = write_own(file, found, witness);
    if (removed_or_kept(name, written ? std::nullopt : std::optional(written.error()), found.path))
      found.path = *written;
  } else {
    const auto written = write_descendants(name, file, found.path);
    removed_or_kept(name, written ? std::nullopt : std::optional(written.error()), found.path);
  }
  take(found);
}

// The name that the program would have given it.
reader::Result<std::string> Collector::write_own(const reader::FileSource& file, const reader::Found& found,
                                                 const reader::Witness& witness) const {
  Facts facts = facts_;
  facts.image = found.snapshot.process.identity.image;
  const std::string path = expand(places_.pattern, facts);
  const bool same = directory_of(path) == output_->path();
  const Shelf other(same ? "." : directory_of(path));
  const Shelf& shelf = same ? *output_ : other;
  if (!shelf.is_open()) return reader::Error{shelf.fault()};
  std::string name = base_of(path);
  if (facts.image != 0 && shelf.has(name)) name = numbered(name, std::to_string(facts.image));
  std::string whole = shelf.path_of(name);
  const auto done = reader::dump(
      file, found.path, {.directory = shelf.descriptor(), .name = name, .path = whole, .replaces = true}, &witness);
  if (!done) return done.error();
  return whole;
}

// Nobody but its segment knows what it ran.
reader::Result<reader::Done> Collector::write_descendants(const std::string& name, const reader::FileSource& file,
                                                          const std::string& path) {
  const Shelf& shelf = descendants_shelf();
  if (!shelf.is_open()) return reader::Error{shelf.fault()};
  return shelf.take_copy(file, path, fmt::format("heapster.{}.heap", reader::parse_segment_name(name)->pid));
}

void Collector::take_left_snapshots() {
  for (const std::string& name : arrivals(reader::is_snapshot)) {
    const auto file = reader::FileSource::open_at(run_->descriptor(), name, run_->path_of(name));
    const auto identity = file ? reader::read_identity(*file) : std::nullopt;
    if (identity && is_ours(*identity)) take_left_snapshot(name, *file);
  }
}

void Collector::take_left_snapshot(const std::string& name, const reader::FileSource& file) {
  const std::string path = run_->path_of(name);
  auto snapshot = reader::load(file);
  if (!snapshot) return complain(path + ": " + snapshot.error().text);
  const bool own = is_child(snapshot->process.identity);
  take({path, std::move(*snapshot)});
  if (!own) move_to_descendants(name, file, path);
}

// They may lie where others write, too, and anybody can claim to be the program.
void Collector::take_written_snapshots() {
  for (const std::string& path : files_of(places_.pattern, child_.pid)) {
    const auto file = reader::FileSource::open(path);
    const auto identity = file ? reader::read_identity(*file) : std::nullopt;
    if (!identity || !is_ours(*identity)) continue;
    if (!users_.contains(file->user())) {
      complain(fmt::format("{}: is user {}'s; not taken for the program's", path, file->user()));
      continue;
    }
    const auto snapshot = reader::load(*file);
    if (!snapshot) {
      complain(path + ": " + snapshot.error().text);
      continue;
    }
    take({path, *snapshot});
  }
}

// One image of one process may come by several ways: its segment, the snapshot made of that, and those that it took on
// the signal, which say that it was running and are not the end.
void Collector::take(const reader::Found& found) {
  const reader::Process& process = found.snapshot.process;
  const Identity& identity = process.identity;
  if (process.life == reader::Life::kRunning) return;
  if (!taken_.emplace(identity.pid_namespace, identity.pid, identity.start_ticks, identity.image).second) return;
  if (is_child(identity)) {
    images_.push_back(found);
  } else {
    count(found.snapshot);
    show_(found.snapshot);
  }
}

void Collector::move_to_descendants(const std::string& name, const reader::FileSource& file, const std::string& path) {
  if (!places_.keep()) {
    run_->remove(name);
    return;
  }
  const Shelf& shelf = descendants_shelf();
  if (!shelf.is_open()) return complain(fmt::format("{}; kept in {}", shelf.fault(), run_->path()));
  if (shelf.take_over(run_->descriptor(), name)) return;
  const auto done = shelf.take_copy(file, path, name);
  if (!done) return complain(fmt::format("{} (kept: {})", done.error().text, path));
  run_->remove(name);
}

const Shelf& Collector::descendants_shelf() {
  if (!descendants_shelf_) {
    const bool beside = directory_of(descendants_path_) == output_->path();
    const Shelf other(beside ? "." : directory_of(descendants_path_));
    descendants_shelf_ = std::make_unique<Shelf>(beside ? *output_ : other, base_of(descendants_path_));
  }
  return *descendants_shelf_;
}

// Once each.
void Collector::complain(const std::string& trouble) {
  if (std::find(troubles_.begin(), troubles_.end(), trouble) == troubles_.end()) troubles_.push_back(trouble);
}

void Collector::count(const reader::Snapshot& snapshot) {
  const std::string name = reader::short_name(snapshot.process);
  auto family = std::find_if(families_.begin(), families_.end(), [&](const Family& f) { return f.executable == name; });
  if (family == families_.end()) family = families_.insert(family, Family{.executable = name});
  ++descendants_;
  ++family->processes;
  family->allocations += value_of(snapshot.stats.alloc.count());
  family->bytes += value_of(snapshot.stats.alloc.bytes());
  family->highest_peak = std::max(family->highest_peak, value_of(snapshot.stats.use.max));
  family->live += value_of(snapshot.stats.use.curr);
}

report::Table family_table(const std::vector<Family>& families) {
  std::vector<Family> sorted = families;
  std::sort(sorted.begin(), sorted.end(), [](const Family& a, const Family& b) { return a.bytes > b.bytes; });
  report::Table table{{"executable", "processes", "allocations", "requested", "highest peak", "live at the end"}, {}};
  for (const Family& family : sorted) {
    table.rows.push_back({report::printable(family.executable), report::count_text(family.processes),
                          report::count_text(family.allocations), report::bytes_text(family.bytes),
                          report::bytes_text(family.highest_peak), report::bytes_text(family.live)});
  }
  return table;
}

}  // namespace heapster::tool
