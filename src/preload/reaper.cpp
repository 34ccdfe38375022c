// SPDX-License-Identifier: MIT

#include "preload/reaper.h"

#include "layout/segment.h"
#include "preload/clock.h"
#include "preload/directory.h"
#include "preload/kernel.h"
#include "preload/proc.h"
#include "preload/segment_name.h"
#include "preload/text.h"

namespace heapster::preload {

namespace {

// Bounds for what dead processes leave behind: this many files, and as old as that. Beyond the most, age is no excuse.
constexpr uint64_t kDeadFiles = 1024;
constexpr uint64_t kMostFiles = 4096;
constexpr uint64_t kDeadSeconds = 24 * 3600;
constexpr uint64_t kYoungSeconds = 60;  // never reaped, somebody may be about to collect it

bool is_dead_segment(const char* name, uint64_t pid_namespace) {
  SegmentOwner owner{};
  if (!parse_segment_name(name, owner) || owner.pid_namespace != pid_namespace) return false;
  ProcessStat stat{};
  return !read_stat(owner.pid, stat) || stat.start_ticks != owner.start_ticks;
}

// Being written, or left by a process that was killed meanwhile.
bool is_temporary(const char* name) { return starts_with(name, ".heapster."); }

bool is_snapshot(const char* name) {
  const size_t size = strlen(name);
  return (size > 5 && equal(name + size - 5, ".heap")) || is_temporary(name);
}

// Writing through a mapping leaves a tmpfs file's time of change at its creation, so a segment's age
// begins when it is first seen dead: then its time is set, and no longer that of its start.
bool seen_before(int directory, const char* name, const struct stat& status) {
  static constinit Header header = {};  // too large for a small stack
  const int fd = kernel::open_at(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  kernel::read(fd, &header, sizeof header);
  kernel::close(fd);
  constexpr uint64_t kCreation = 2;  // seconds that it may take
  if (static_cast<uint64_t>(status.st_mtim.tv_sec) > header.identity.started_epoch / 1'000'000'000 + kCreation)
    return true;
  kernel::call(__NR_utimensat, directory, kernel::as_long(name), 0, AT_SYMLINK_NOFOLLOW);
  return false;
}

uint64_t age_in_seconds(int directory, const char* name) {
  struct stat status {};
  if (kernel::call(__NR_newfstatat, directory, kernel::as_long(name), kernel::as_long(&status), AT_SYMLINK_NOFOLLOW)) {
    return 0;
  }
  if (!is_snapshot(name) && !seen_before(directory, name, status)) return 0;
  const auto now = epoch_time() / 1'000'000'000;
  const auto changed = static_cast<uint64_t>(status.st_mtim.tv_sec);
  return now > changed ? now - changed : 0;
}

}  // namespace

void reap_dead(int directory, uint64_t pid_namespace) {
  uint64_t files = 0;
  each_entry(directory, [&](const char*) { ++files; });
  const uint64_t limit = files > kDeadFiles ? kYoungSeconds : kDeadSeconds;
  each_entry(directory, [&](const char* name) {
    if (!is_snapshot(name) && !is_dead_segment(name, pid_namespace)) return;
    const bool may_stay = files <= kMostFiles || is_temporary(name);
    if (may_stay && age_in_seconds(directory, name) <= limit) return;
    if (kernel::unlink_at(directory, name) == 0) --files;
  });
}

}  // namespace heapster::preload
