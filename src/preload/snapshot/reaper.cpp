// SPDX-License-Identifier: MIT

#include "preload/snapshot/reaper.h"

#include "preload/base/attributes.h"
#include "preload/base/clock.h"
#include "preload/base/directory.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/proc.h"
#include "preload/base/text.h"
#include "preload/segment/segment_name.h"

namespace heapster::preload {

namespace {

constexpr uint64_t kDeadFiles = 1024;
constexpr uint64_t kMostFiles = 4096;
constexpr uint64_t kDeadBytes = 64 << 20;
constexpr uint64_t kDeadSeconds = 24 * 3600;
constexpr uint64_t kYoungSeconds = 60;
constexpr uint64_t kCollectSeconds = 2;  // heapster-run comes twice a second

uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
uint64_t most(uint64_t a, uint64_t b) { return a > b ? a : b; }

bool is_dead_segment(const char* name, uint64_t pid_namespace) {
  SegmentOwner owner{};
  if (!parse_segment_name(name, owner) || owner.pid_namespace != pid_namespace) return false;
  ProcessStat stat{};
  return !read_stat(owner.pid, stat) || (stat.start_ticks != owner.start_ticks && shares_our_clock(owner.pid));
}

// Being written, or left by a process that was killed meanwhile.
bool is_temporary(const char* name) { return starts_with(name, ".heapster."); }

bool is_snapshot(const char* name) {
  const size_t size = strlen(name);
  return (size > 5 && equal(name + size - 5, ".heap")) || is_temporary(name);
}

bool is_left(const char* name, uint64_t pid_namespace) {
  return is_snapshot(name) || is_dead_segment(name, pid_namespace);
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

struct Left {
  uint64_t bytes;
  uint64_t seconds;  // how old it is

  // Ages by powers of two.
  static constexpr size_t kClasses = 32;
  size_t age_class() const { return least(64 - static_cast<uint64_t>(__builtin_clzll(seconds | 1)), kClasses - 1); }
};

Left look_at(int directory, const char* name) {
  struct stat status {};
  if (kernel::call(__NR_newfstatat, directory, kernel::as_long(name), kernel::as_long(&status), AT_SYMLINK_NOFOLLOW)) {
    return {};
  }
  Left left{.bytes = static_cast<uint64_t>(status.st_blocks) * 512, .seconds = 0};
  if (!is_snapshot(name) && !seen_before(directory, name, status)) return left;
  const auto now = epoch_time() / 1'000'000'000;
  const auto changed = static_cast<uint64_t>(status.st_mtim.tv_sec);
  if (now > changed) left.seconds = now - changed;
  return left;
}

// The first class of age for which there is no room, with what is younger.
size_t first_to_go(int directory, uint64_t pid_namespace, uint64_t most_bytes) {
  HEAPSTER_ASIDE static constinit uint64_t bytes_of[Left::kClasses] = {};  // too large for a small stack
  HEAPSTER_ASIDE static constinit uint64_t files_of[Left::kClasses] = {};
  memset(bytes_of, 0, sizeof bytes_of);
  memset(files_of, 0, sizeof files_of);
  each_entry(directory, [&](const char* name) {
    if (!is_left(name, pid_namespace)) return;
    const Left left = look_at(directory, name);
    bytes_of[left.age_class()] += left.bytes;
    ++files_of[left.age_class()];
  });
  uint64_t bytes = 0;
  uint64_t files = 0;
  for (size_t i = 0; i < Left::kClasses; ++i) {
    bytes += bytes_of[i];
    files += files_of[i];
    if (bytes > most_bytes || files > kDeadFiles) return i;
  }
  return Left::kClasses;
}

// One start in so many looks at what lies there, and who is younger than this is left alone.
struct Pace {
  uint64_t starts;
  uint64_t young;
};

Pace pace_of(const FileSystem& system, uint64_t entries) {
  if (system.lacks(32)) return {.starts = 1, .young = 0};
  if (system.lacks(8)) return {.starts = 4, .young = kCollectSeconds};
  if (system.lacks(4)) return {.starts = 16, .young = kCollectSeconds};
  if (entries > kMostFiles) return {.starts = 64, .young = kCollectSeconds};
  return {.starts = most(64, entries / 4), .young = kYoungSeconds};  // so that on average a look costs the same
}

uint64_t most_bytes_in(const FileSystem& system) {
  if (system.blocks <= 0) return kDeadBytes;
  const auto block = static_cast<uint64_t>(system.block_bytes);
  const uint64_t share = least(static_cast<uint64_t>(system.blocks) / 8, static_cast<uint64_t>(system.free) / 2);
  return least(kDeadBytes, share * block);
}

}  // namespace

void tidy(int directory, const Identity& identity) {
  const uint64_t entries = entries_in(directory);
  if (entries == 0) return;
  const FileSystem system = file_system_of(directory);
  const Pace pace = pace_of(system, entries);
  // Process numbers alone may come in steps that never meet.
  if ((identity.pid + identity.start_ticks) % pace.starts != 0) return;
  const size_t going = first_to_go(directory, identity.pid_namespace, most_bytes_in(system));
  each_entry(directory, [&](const char* name) {
    if (!is_left(name, identity.pid_namespace)) return;
    const Left left = look_at(directory, name);
    const uint64_t young = is_temporary(name) ? most(pace.young, kCollectSeconds) : pace.young;
    const bool goes = left.seconds >= kDeadSeconds || (left.age_class() >= going && left.seconds >= young);
    if (goes) kernel::unlink_at(directory, name);
  });
}

}  // namespace heapster::preload
