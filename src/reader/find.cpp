// SPDX-License-Identifier: MIT
//
// Only names are trusted to say what a file might be; what it is, its content decides. Names that
// begin with a dot are files in the making.

#include "reader/find.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <tuple>

#include "reader/held_directory.h"
#include "reader/load.h"
#include "reader/proc.h"
#include "reader/strangers.h"

namespace heapster::reader {

namespace {

bool digits_only(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

bool is_segment_or_snapshot(const std::string& name) { return is_segment(name) || is_snapshot(name); }

void load_into(Listing& listing, const Result<FileSource>& file, const std::string& path, Depth depth,
               Strangers& strangers, std::vector<MappedSegment>& known) {
  Result<Snapshot> snapshot = file ? load(*file, path, strangers, depth) : Result<Snapshot>(file.error());
  if (file) known.push_back({path, file->device(), file->inode()});
  if (snapshot) {
    listing.found.push_back({path, std::move(*snapshot)});
  } else if (access(path.c_str(), F_OK) == 0) {  // one that ended meanwhile is no fault
    listing.refused.push_back(snapshot.error().text);
  }
}

// Snapshots are large: only their places are moved about.
void sort(Listing& listing) {
  const auto rank = [](const Found& f) {
    return std::tuple(f.snapshot.process.life != Life::kRunning,
                      UINT64_MAX - f.snapshot.process.identity.started_epoch);
  };
  std::vector<size_t> order(listing.found.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rank(listing.found[a]) < rank(listing.found[b]); });
  std::vector<Found> sorted;
  sorted.reserve(order.size());
  for (const size_t place : order) sorted.push_back(std::move(listing.found[place]));
  listing.found = std::move(sorted);
}

Result<Listing> load_all(const std::string& path, bool (*wanted)(const std::string&), Depth depth, Strangers& strangers,
                         std::vector<MappedSegment>& known) {
  const auto directory = HeldDirectory::open(path);
  if (!directory) return directory.error();
  Listing listing;
  for (const auto& [name, inode] : directory->entries(wanted)) {
    const std::string file = directory->path_of(name);
    load_into(listing, FileSource::open_at(directory->descriptor(), name, file), file, depth, strangers, known);
  }
  sort(listing);
  return listing;
}

// A file of a process with the wanted number, and what makes it the better answer.
struct Candidate {
  std::string path;
  bool alive;
  bool replaced;  // the process is there, but this is of an earlier image
  bool ours;      // of our PID namespace
  Identity identity;

  auto rank() const { return std::tuple(alive, replaced, ours, identity.started_epoch, identity.image); }
};

std::optional<Candidate> candidate(const Result<FileSource>& file, const std::string& path, uint32_t pid,
                                   Strangers& strangers) {
  if (!file) return std::nullopt;
  const Result<Snapshot> snapshot = load(*file);
  if (!snapshot) return std::nullopt;
  const Identity& identity = snapshot->process.identity;
  const std::string& boot = snapshot->process.boot_id;
  const bool this_boot = boot.empty() || boot == strangers.boot_id();
  const auto standing = this_boot ? strangers.standing_of(identity, file->inode()) : std::nullopt;
  if ((standing ? standing->pid : identity.pid) != pid) return std::nullopt;
  const bool alive = standing && standing->hold == Hold::kMapped;
  return Candidate{path, alive, standing.has_value(), in_our_namespace(identity.pid_namespace), identity};
}

// What a process itself has mapped: found without a run directory, so wherever it has one.
std::optional<Candidate> mapped_candidate(uint32_t pid, Strangers& strangers) {
  for (const MappedSegment& segment : mapped_segments(pid)) {
    auto found = candidate(FileSource::open(segment.path), segment.path, pid, strangers);
    if (found && found->alive) return found;
  }
  return std::nullopt;
}

std::optional<Candidate> best_in(const HeldDirectory& directory, uint32_t pid, Strangers& strangers) {
  std::optional<Candidate> best;
  for (const auto& [name, inode] : directory.entries(is_segment_or_snapshot)) {
    const auto segment = parse_segment_name(name);
    if (segment && segment->pid != pid) continue;
    const std::string path = directory.path_of(name);
    auto next = candidate(FileSource::open_at(directory.descriptor(), name, path), path, pid, strangers);
    if (next && (!best || best->rank() < next->rank())) best = std::move(next);
  }
  return best;
}

// A number that came back belongs to another process now, whose numbers the dead one's are not.
Error unmeasured(uint32_t pid, const std::string& directory, const std::optional<Candidate>& dead) {
  const std::string number = std::to_string(pid);
  // Measured in private memory, or not to be (HEAPSTER_FOLLOW=0): its notes would tell, which are in there, too.
  for (const char* library : {"libheapster.so", "libheapster-new.so"})
    if (has_loaded(pid, library))
      return {"process " + number + " has " + library + " loaded, but no segment that others can read: it counts in " +
              "private memory and tells at its exit, or is not to be measured"};
  if (dead) return {"process " + number + " is not measured; an earlier one of that number left " + dead->path};
  return {start_ticks_of(pid) ? "process " + number + " is not measured (no segment in " + directory + ")"
                              : "no process " + number + " and no segment of it in " + directory +
                                    " (a file of that name is ./" + number + ")"};
}

Result<std::string> resolve_pid(uint32_t pid, const std::string& path) {
  const auto directory = HeldDirectory::open(path);
  if (!directory) return directory.error();
  Strangers strangers;
  auto best = best_in(*directory, pid, strangers);
  if (!best || !best->alive) {
    if (auto mapped = mapped_candidate(pid, strangers)) best = std::move(mapped);
  }
  const bool answers = best && (best->alive || best->replaced || !start_ticks_of(pid));
  if (answers) return best->path;
  return unmeasured(pid, path, best);
}

}  // namespace

std::string run_directory() {
  const char* chosen = std::getenv("HEAPSTER_RUN_DIR");
  // A relative one is ignored here because the preload ignores it.
  return chosen && *chosen == '/' ? chosen : "/dev/shm/heapster-" + std::to_string(geteuid());
}

std::optional<SegmentName> parse_segment_name(const std::string& name) {
  SegmentName result{};
  const char* at = name.data();
  const char* const end = at + name.size();
  const auto take = [&](auto& number, bool last) {
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != '-')) return false;
    at = last ? stop : stop + 1;
    return true;
  };
  if (!take(result.pid_namespace, false) || !take(result.pid, false) || !take(result.start_ticks, true))
    return std::nullopt;
  return result;
}

bool is_segment(const std::string& name) { return parse_segment_name(name).has_value(); }
bool is_snapshot(const std::string& name) { return !name.starts_with('.') && name.ends_with(".heap"); }

Result<Listing> list(const std::string& directory, Depth depth) {
  Strangers strangers;
  std::vector<MappedSegment> known;
  return load_all(directory, is_segment, depth, strangers, known);
}

Result<Listing> list_snapshots(const std::string& directory) {
  Strangers strangers;
  std::vector<MappedSegment> known;
  return load_all(directory, is_snapshot, Depth::kAll, strangers, known);
}

Result<Listing> list_everywhere(const std::string& directory, Depth depth) {
  Strangers strangers;
  std::vector<MappedSegment> known;
  Result<Listing> listing = load_all(directory, is_segment, depth, strangers, known);
  if (!listing) return listing;
  for (const MappedSegment& segment : strangers.segments(known))
    load_into(*listing, FileSource::open(segment.path), segment.path, depth, strangers, known);
  sort(*listing);
  return listing;
}

Result<std::string> resolve(const std::string& argument, const std::string& directory) {
  if (!digits_only(argument)) return argument;
  uint32_t pid = 0;
  const char* const end = argument.data() + argument.size();
  if (std::from_chars(argument.data(), end, pid).ec != std::errc()) return Error{argument + ": no such process number"};
  return resolve_pid(pid, directory);
}

}  // namespace heapster::reader
