// SPDX-License-Identifier: MIT
//
// One walk over /proc asks three things of each process, which costs some microseconds; only those
// that turn out to be strangers have their mappings read, which costs a hundred times as much. The
// paths in there are written by whoever owns the other root, so nothing found by one is taken for
// the segment until device and inode are those that the kernel says are mapped.

#include "reader/strangers.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "reader/find.h"
#include "reader/proc.h"

namespace heapster::reader {

namespace {

bool is_mapped_file(const Mapping& mapping, const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == mapping.inode &&
         major(status.st_dev) == mapping.major && minor(status.st_dev) == mapping.minor;
}

// The kernel tells the path from our root, or from that of the other mount namespace; a chroot's own
// root lies somewhere along it.
std::optional<MappedSegment> reach(uint32_t pid, const Mapping& mapping) {
  const uint64_t device = makedev(mapping.major, mapping.minor);
  if (is_mapped_file(mapping, mapping.path)) return MappedSegment{mapping.path, device, mapping.inode};
  const std::string root = "/proc/" + std::to_string(pid) + "/root";
  for (size_t at = 0; at != std::string::npos; at = mapping.path.find('/', at + 1)) {
    std::string path = root + mapping.path.substr(at);
    if (is_mapped_file(mapping, path)) return MappedSegment{std::move(path), device, mapping.inode};
  }
  return std::nullopt;
}

bool is_segment(const Mapping& mapping) {
  return mapping.shared && mapping.offset == 0 && mapping.path.starts_with('/') &&
         reader::is_segment(mapping.path.substr(mapping.path.rfind('/') + 1));
}

std::vector<uint32_t> all_pids() {
  std::vector<uint32_t> pids;
  DIR* proc = opendir("/proc");
  if (!proc) return pids;
  while (const dirent* entry = readdir(proc)) {
    uint32_t pid = 0;
    const std::string_view name = entry->d_name;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  closedir(proc);
  return pids;
}

}  // namespace

std::vector<MappedSegment> mapped_segments(uint32_t pid) {
  std::vector<MappedSegment> found;
  for (const Mapping& mapping : mappings_of(pid).value_or(std::vector<Mapping>())) {
    if (!is_segment(mapping)) continue;
    if (auto segment = reach(pid, mapping)) found.push_back(std::move(*segment));
  }
  return found;
}

std::vector<Strangers::Stranger>& Strangers::all() {
  if (all_) return *all_;
  all_.emplace();
  const View ours = view_of("self").value_or(View{});
  for (const uint32_t pid : all_pids()) {
    const std::optional<View> view = view_of(std::to_string(pid));
    if (!view || *view == ours) continue;
    const bool elsewhere = view->mount_namespace != ours.mount_namespace || view->root != ours.root;
    all_->push_back({.pid = pid, .pid_namespace = view->pid_namespace, .elsewhere = elsewhere, .start_ticks = {}});
  }
  return *all_;
}

// A process that had no /proc at its start could not tell its namespace and start time, and said 0.
std::optional<uint32_t> Strangers::pid_of(const Identity& identity) {
  if (in_our_namespace(identity.pid_namespace)) {
    return start_ticks_of(identity.pid) == identity.start_ticks ? std::optional(identity.pid) : std::nullopt;
  }
  for (Stranger& stranger : all()) {
    const bool there = identity.pid_namespace == 0 || stranger.pid_namespace == identity.pid_namespace;
    if (!there) continue;
    if (!std::exchange(stranger.asked, true)) stranger.start_ticks = start_ticks_of(stranger.pid);
    const bool then = identity.start_ticks == 0 || stranger.start_ticks == identity.start_ticks;
    if (then && inner_pid_of(stranger.pid) == identity.pid) return stranger.pid;
  }
  return std::nullopt;
}

std::vector<MappedSegment> Strangers::segments() {
  std::vector<MappedSegment> found;
  for (const Stranger& stranger : all()) {
    if (!stranger.elsewhere) continue;
    for (MappedSegment& segment : mapped_segments(stranger.pid)) found.push_back(std::move(segment));
  }
  const auto same = [](const MappedSegment& a, const MappedSegment& b) {
    return a.device == b.device && a.inode == b.inode;
  };
  std::sort(found.begin(), found.end(), [](const MappedSegment& a, const MappedSegment& b) {
    return std::tie(a.device, a.inode, a.path) < std::tie(b.device, b.inode, b.path);
  });
  found.erase(std::unique(found.begin(), found.end(), same), found.end());
  return found;
}

}  // namespace heapster::reader
