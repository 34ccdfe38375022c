// SPDX-License-Identifier: MIT
//
// A walk over /proc asks each process for the files that it has mapped and writes through, of which
// there are few. The paths in there are written by whoever owns the other root, so nothing found by one is taken for
// the segment until device and inode are those that the kernel says are mapped.

#include "reader/strangers.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "reader/find.h"
#include "reader/proc.h"

namespace heapster::reader {

namespace {

bool is_mapped_file(const SharedFile& mapping, const std::string& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == mapping.inode &&
         major(status.st_dev) == mapping.major && minor(status.st_dev) == mapping.minor;
}

// The kernel tells the path from our root, or from that of the other mount namespace; a chroot's own
// root lies somewhere along it.
std::optional<MappedSegment> reach(uint32_t pid, const SharedFile& mapping) {
  const uint64_t device = makedev(mapping.major, mapping.minor);
  if (is_mapped_file(mapping, mapping.path)) return MappedSegment{mapping.path, device, mapping.inode};
  const auto pulse = pulse_of(pid);
  const std::string root = "/proc/" + std::to_string(pulse ? pulse->thread : pid) + "/root";
  for (size_t at = 0; at != std::string::npos; at = mapping.path.find('/', at + 1)) {
    std::string path = root + mapping.path.substr(at);
    if (is_mapped_file(mapping, path)) return MappedSegment{std::move(path), device, mapping.inode};
  }
  return std::nullopt;
}

bool is_segment(const SharedFile& mapping) {
  return mapping.offset == 0 && mapping.path.starts_with('/') &&
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

std::optional<View> view_of_any_thread(uint32_t pid) {
  if (auto view = view_of(std::to_string(pid))) return view;
  const auto pulse = pulse_of(pid);
  return pulse && pulse->thread != pid ? view_of(std::to_string(pulse->thread)) : std::nullopt;
}

}  // namespace

std::vector<MappedSegment> mapped_segments(uint32_t pid) {
  std::vector<MappedSegment> found;
  for (const SharedFile& mapping : shared_files_of(pid).value_or(std::vector<SharedFile>())) {
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
    const std::optional<View> view = view_of_any_thread(pid);
    if (view && *view != ours) all_->push_back({.pid = pid, .pid_namespace = view->pid_namespace, .inner_pid = {}});
  }
  return *all_;
}

const Strangers::Files& Strangers::files_of(uint32_t pid) {
  const auto [place, fresh] = files_.try_emplace(pid);
  if (fresh) place->second = shared_files_of(pid);
  return place->second;
}

std::optional<Standing> Strangers::standing_as(uint32_t pid, const Identity& identity, uint64_t inode) {
  const Files& files = files_of(pid);
  const auto is_it = [&](const SharedFile& file) { return file.inode == inode && file.offset == 0; };
  if (files && std::any_of(files->begin(), files->end(), is_it)) return Standing{pid, Hold::kMapped};
  // A process that had no /proc at its start could not tell when that was, and said 0.
  const bool anonymous = identity.start_ticks == 0;
  const std::optional<uint64_t> ticks = start_ticks_of(pid);
  if (!ticks || (!anonymous && ticks != identity.start_ticks)) return std::nullopt;
  if (files) return anonymous ? std::nullopt : std::optional(Standing{pid, Hold::kReleased});
  return Standing{pid, gained_rights(pid, identity) ? Hold::kReleased : Hold::kMapped};
}

// A process that had no /proc at its start could not tell its namespace either.
std::optional<Standing> Strangers::standing_of(const Identity& identity, uint64_t inode) {
  if (in_our_namespace(identity.pid_namespace)) return standing_as(identity.pid, identity, inode);
  for (Stranger& stranger : all()) {
    if (identity.pid_namespace != 0 && stranger.pid_namespace != identity.pid_namespace) continue;
    if (!std::exchange(stranger.asked, true)) stranger.inner_pid = inner_pid_of(stranger.pid);
    if (stranger.inner_pid != identity.pid) continue;
    if (auto standing = standing_as(stranger.pid, identity, inode)) return standing;
  }
  return std::nullopt;
}

std::vector<MappedSegment> Strangers::segments(const std::vector<MappedSegment>& known) {
  std::set<std::pair<uint64_t, uint64_t>> seen;
  for (const MappedSegment& segment : known) seen.emplace(segment.device, segment.inode);
  std::vector<MappedSegment> found;
  for (const uint32_t pid : all_pids()) {
    const Files& files = files_of(pid);
    if (!files) continue;
    for (const SharedFile& mapping : *files) {
      const std::pair key(makedev(mapping.major, mapping.minor), mapping.inode);
      if (!is_segment(mapping) || seen.contains(key)) continue;
      auto segment = reach(pid, mapping);
      if (!segment) continue;
      seen.insert(key);
      found.push_back(std::move(*segment));
    }
  }
  return found;
}

const std::string& Strangers::boot_id() {
  if (!boot_id_) boot_id_ = reader::boot_id();
  return *boot_id_;
}

}  // namespace heapster::reader
