// SPDX-License-Identifier: MIT
//
// Only names are trusted to say what a file might be; what it is, its content decides. Names that
// begin with a dot are files in the making.

#include "reader/find.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <tuple>

#include "reader/directory.h"
#include "reader/load.h"
#include "reader/proc.h"

namespace heapster::reader {

namespace {

bool digits_only(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

bool is_segment(const std::string& name) { return parse_segment_name(name).has_value(); }
bool is_snapshot(const std::string& name) { return !name.starts_with('.') && name.ends_with(".heap"); }

// Sorted, so that the answer does not depend on the file system.
Result<std::vector<std::string>> names_in(const std::string& directory, bool (*wanted)(const std::string&)) {
  std::vector<std::string> names;
  DIR* open = opendir(directory.c_str());
  if (!open) {
    if (errno == ENOENT) return names;
    return Error{directory + ": " + std::strerror(errno)};
  }
  while (const dirent* entry = readdir(open))
    if (wanted(entry->d_name)) names.emplace_back(entry->d_name);
  closedir(open);
  std::sort(names.begin(), names.end());
  return names;
}

Result<Listing> load_all(const std::string& directory, bool (*wanted)(const std::string&)) {
  const auto names = names_in(directory, wanted);
  if (!names) return names.error();
  Listing listing;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    Result<Snapshot> snapshot = load(path);
    if (snapshot) {
      listing.found.push_back({path, std::move(*snapshot)});
    } else if (access(path.c_str(), F_OK) == 0) {  // one that ended meanwhile is no fault
      listing.refused.push_back(snapshot.error().text);
    }
  }
  const auto rank = [](const Found& f) {
    return std::tuple(f.snapshot.process.life != Life::kRunning,
                      UINT64_MAX - f.snapshot.process.identity.started_epoch);
  };
  std::stable_sort(listing.found.begin(), listing.found.end(),
                   [&](const Found& a, const Found& b) { return rank(a) < rank(b); });
  return listing;
}

// A file of a process with the wanted number, and what makes it the better answer.
struct Candidate {
  std::string path;
  bool alive;
  Identity identity;

  auto rank() const { return std::tuple(alive, identity.started_epoch, identity.image); }
};

std::optional<Candidate> candidate(const std::string& path, uint32_t pid, bool segment) {
  const Result<FileSource> file = FileSource::open(path);
  if (!file) return std::nullopt;
  const Result<Directory> directory = read_directory(*file);
  if (!directory || directory->header.identity.pid != pid) return std::nullopt;
  const Identity& identity = directory->header.identity;
  const bool alive = segment && start_ticks_of(pid) == identity.start_ticks && maps_inode(pid, file->inode());
  return Candidate{path, alive, identity};
}

Result<std::string> resolve_pid(uint32_t pid, const std::string& directory) {
  const auto names = names_in(directory, [](const std::string& n) { return is_segment(n) || is_snapshot(n); });
  if (!names) return names.error();
  std::optional<Candidate> best;
  for (const std::string& name : *names) {
    const auto segment = parse_segment_name(name);
    if (segment && segment->pid != pid) continue;
    auto next = candidate(directory + "/" + name, pid, segment.has_value());
    if (next && (!best || best->rank() < next->rank())) best = std::move(next);
  }
  if (best) return best->path;
  const std::string number = std::to_string(pid);
  return Error{start_ticks_of(pid) ? "process " + number + " is not measured (no segment in " + directory + ")"
                                   : "no process " + number + " and no segment of it in " + directory +
                                         " (a file of that name is ./" + number + ")"};
}

}  // namespace

std::string run_directory() {
  const char* chosen = std::getenv("HEAPSTER_RUN_DIR");
  // A relative one is ignored here because the preload ignores it.
  return chosen && *chosen == '/' ? chosen : "/dev/shm/heapster-" + std::to_string(getuid());
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

Result<Listing> list(const std::string& directory) { return load_all(directory, is_segment); }
Result<Listing> list_snapshots(const std::string& directory) { return load_all(directory, is_snapshot); }

Result<std::string> resolve(const std::string& argument, const std::string& directory) {
  if (!digits_only(argument)) return argument;
  uint32_t pid = 0;
  const char* const end = argument.data() + argument.size();
  if (std::from_chars(argument.data(), end, pid).ec != std::errc()) return Error{argument + ": no such process number"};
  return resolve_pid(pid, directory);
}

}  // namespace heapster::reader
