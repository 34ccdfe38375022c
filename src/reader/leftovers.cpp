// SPDX-License-Identifier: MIT
//
// Whoever writes to a file, through a descriptor or a mapping, and in whichever namespace, keeps others from having a
// read lease on it. So the kernel is asked for one, and it is given back at once.

#include "reader/leftovers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>

#include "reader/find.h"
#include "reader/proc.h"

namespace heapster::reader {

namespace {

bool is_unfinished(const std::string& name) { return name.starts_with('.'); }

bool is_known(const std::string& name) { return is_segment(name) || is_snapshot(name) || is_unfinished(name); }

LeftKind kind_of(const std::string& name) {
  if (is_unfinished(name)) return LeftKind::kUnfinished;
  return is_segment(name) ? LeftKind::kSegment : LeftKind::kSnapshot;
}

// Whether a process holds the file for writing; nothing where the kernel gives no leases.
std::optional<bool> is_held(int file) {
  signal(SIGIO, SIG_IGN);  // what the kernel would send if somebody opened it for writing meanwhile
  if (fcntl(file, F_SETLEASE, F_RDLCK) == 0) {
    fcntl(file, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN ? std::optional(true) : std::nullopt;
}

// By its name alone: as if it lived where that cannot be told.
bool may_live(const std::string& name) {
  const auto segment = parse_segment_name(name);
  if (!segment) return is_unfinished(name);
  return !in_our_namespace(segment->pid_namespace) || start_ticks_of(segment->pid) == segment->start_ticks;
}

std::optional<Leftover> look_at(const HeldDirectory& directory, const std::string& name) {
  const int file = openat(directory.descriptor(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return std::nullopt;
  struct stat status {};
  const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  const bool left = regular && !is_held(file).value_or(may_live(name));
  close(file);
  if (!left) return std::nullopt;
  const double changed = static_cast<double>(status.st_mtim.tv_sec) + static_cast<double>(status.st_mtim.tv_nsec) / 1e9;
  return Leftover{name, kind_of(name), static_cast<uint64_t>(status.st_blocks) * 512, changed};
}

}  // namespace

std::string_view name_of(LeftKind kind) {
  switch (kind) {
    case LeftKind::kSegment:
      return "segment of a dead process";
    case LeftKind::kSnapshot:
      return "snapshot";
    case LeftKind::kUnfinished:
      break;
  }
  return "unfinished";
}

std::vector<Leftover> leftovers_in(const HeldDirectory& directory) {
  std::vector<Leftover> leftovers;
  for (const auto& [name, inode] : directory.entries(is_known))
    if (auto left = look_at(directory, name)) leftovers.push_back(std::move(*left));
  return leftovers;
}

uint64_t bytes_of(const std::vector<Leftover>& leftovers) {
  uint64_t bytes = 0;
  for (const Leftover& left : leftovers) bytes += left.bytes;
  return bytes;
}

}  // namespace heapster::reader
