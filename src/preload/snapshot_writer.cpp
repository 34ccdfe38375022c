// SPDX-License-Identifier: MIT

#include "preload/snapshot_writer.h"

#include "preload/clock.h"
#include "preload/kernel.h"
#include "preload/notes.h"
#include "preload/proc.h"
#include "preload/process.h"
#include "preload/publish.h"
#include "preload/segment_memory.h"
#include "preload/snapshot_name.h"
#include "preload/text.h"
#include "preload/texts.h"

namespace heapster::preload {

namespace {

// What one writer needs, too large for the small stacks that a handler or a thread may run on. The
// end of the program has one of its own, so that it never waits for a dump that is under way.
struct Desk {
  uint32_t lock;
  char temporary[kPathRoom + 32];
  Header patched;
};
enum : size_t { kEnd, kDump, kStart, kDesks };
Desk desks[kDesks];
char numbered_path[kPathRoom];
char earlier_path[kPathRoom];

bool write_all(int fd, const void* from, size_t bytes, uint64_t offset) {
  const char* at = static_cast<const char*>(from);
  while (bytes != 0) {
    const long written = kernel::write_at(fd, at, bytes, offset);
    if (written == -4) continue;  // EINTR
    if (written <= 0) return false;
    at += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

// Calls write(address, bytes, offset) for each part of a segment that is in use.
template <typename SlotAt, typename Write>
bool each_used_part(const char* base, const Header& header, SlotAt slot_at, Write write) {
  const Section& timeline = header.sections[kTimelineSection];
  const size_t points = timeline.used < kTimelinePoints ? timeline.used : kTimelinePoints;
  bool good = write(base + kTextsOffset, kTimelineOffset - kTextsOffset, kTextsOffset) &&
              write(base + kTimelineOffset, points * sizeof(TimelinePoint), kTimelineOffset);
  const uint64_t used = header.sections[kSlotsSection].used;
  for (uint32_t i = 0; good && i < used && i < kMaxSlots; ++i) {
    const Slot* slot = slot_at(i);
    if (slot == nullptr) continue;
    const uint64_t offset = kSlotsOffset + i * sizeof(Slot);
    good = write(&slot->now, kShardBytes, offset);
    if (good && load(slot->now.generation) > 1) good = write(&slot->before, kShardBytes, offset + kShardBytes);
  }
  return good;
}

// Only a regular file is replaced: /dev/null, a pipe or a link are somebody else's.
bool may_replace(const char* path) {
  struct stat status {};
  const long found =
      kernel::call(__NR_newfstatat, AT_FDCWD, kernel::as_long(path), kernel::as_long(&status), AT_SYMLINK_NOFOLLOW);
  return found != 0 || S_ISREG(status.st_mode);
}

// In the directory of the path, under a short name: the path's own may be as long as names can be.
int create_temporary(Desk& desk, const char* path) {
  TextBuilder name(desk.temporary, sizeof desk.temporary);
  name.add(path, static_cast<size_t>(base_name(path) - path))
      .add(".heapster.")
      .add(kernel::pid())
      .add(static_cast<char>('a' + (&desk - desks)));
  if (name.full() || !may_replace(path)) return -1;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  int fd = kernel::open_at(AT_FDCWD, desk.temporary, kFlags, 0600);
  if (fd == -17) {  // EEXIST: left by a process of this number that was killed meanwhile
    kernel::unlink_at(AT_FDCWD, desk.temporary);
    fd = kernel::open_at(AT_FDCWD, desk.temporary, kFlags, 0600);
  }
  return fd;
}

// Writes the desk's header and what `write_parts(fd)` writes to the path, or leaves nothing there.
template <typename WriteParts>
bool write_file(Desk& desk, const char* path, WriteParts write_parts) {
  const uint64_t most = kSlotsOffset + desk.patched.sections[kSlotsSection].used * sizeof(Slot);
  const int fd = file_size_allowed(most) ? create_temporary(desk, path) : -1;
  if (fd < 0) return false;
  bool good = write_all(fd, &desk.patched, sizeof desk.patched, 0) && write_parts(fd);
  kernel::close(fd);
  good = good && kernel::rename(desk.temporary, path) == 0;
  if (!good) kernel::unlink_at(AT_FDCWD, desk.temporary);
  return good;
}

bool write_own(Desk& desk, const char* path) {
  copy_words(&desk.patched, segment.header(), sizeof desk.patched);
  if (!ending()) stamp(desk.patched.ending);
  const bool good = write_file(desk, path, [&desk](int fd) {
    return each_used_part(
        reinterpret_cast<const char*>(segment.header()), desk.patched, [](uint32_t i) { return segment.slot(i); },
        [fd](const void* at, size_t bytes, uint64_t offset) { return write_all(fd, at, bytes, offset); });
  });
  if (!good) raise(Note::k_snapshot_failed);
  return good;
}

}  // namespace

void stamp(Ending& ending) {
  const uint64_t now = since_start(coarse_time_of_kernel());
  ending.time = now != 0 ? now : 1;  // 0 says that there was no end, and the clock is coarse
  read_usage(ending);
}

bool write_exit_snapshot() {
  const bool good = snapshot_path()[0] == '\0' || write_own(desks[kEnd], snapshot_path());
  if (load(desks[kDump].lock) != 0) kernel::unlink_at(AT_FDCWD, desks[kDump].temporary);  // it will not be finished
  return good;
}

void write_dump() {
  const TryLock lock(desks[kDump].lock);
  if (!lock || ending()) return;  // another thread is at it, or the last snapshot: that one serves
  refresh_names();
  const uint32_t number = __atomic_add_fetch(&segment.header()->snapshots, 1u, __ATOMIC_RELAXED);
  TextBuilder path(numbered_path, sizeof numbered_path);
  add_numbered(path, dump_path(), number);
  if (dump_path()[0] == '\0' || path.full()) {
    raise(Note::k_snapshot_failed);
  } else {
    write_own(desks[kDump], numbered_path);
  }
}

void remove_temporaries() {
  for (const Desk& desk : desks) {
    if (desk.temporary[0] != '\0') kernel::unlink_at(AT_FDCWD, desk.temporary);
  }
}

void restart_snapshots() {
  for (Desk& desk : desks) {
    desk.lock = 0;
    desk.temporary[0] = '\0';
  }
}

bool save_replaced(int fd, const Header& earlier) {
  if (earlier.version != kFormatVersion || earlier.sections[kSlotsSection].used > kMaxSlots) return false;
  const size_t size = kSlotsOffset + earlier.sections[kSlotsSection].used * sizeof(Slot);
  struct stat status {};
  if (kernel::call(__NR_fstat, fd, kernel::as_long(&status)) != 0) return false;
  if (static_cast<size_t>(status.st_size) < size) return false;
  const char* base = static_cast<const char*>(kernel::map_read_only(size, fd));
  if (base == nullptr) return false;
  Header& header = desks[kStart].patched;
  memcpy(&header, &earlier, sizeof header);
  header.state = static_cast<uint32_t>(State::kReplaced);
  header.ending.time = header.published.time;
  const bool told = find_text(base + kTextsOffset, header.sections[kTextsSection].used, Text::k_snapshot, earlier_path,
                              sizeof earlier_path);
  const auto write_parts = [&](int to) {
    return each_used_part(
        base, header, [base](uint32_t i) { return reinterpret_cast<const Slot*>(base + kSlotsOffset) + i; },
        [to](const void* part, size_t bytes, uint64_t offset) { return write_all(to, part, bytes, offset); });
  };
  const bool none = earlier_path[0] == '\0';
  const bool good = told && (none || write_file(desks[kStart], earlier_path, write_parts));
  kernel::unmap(const_cast<char*>(base), size);
  return good;
}

}  // namespace heapster::preload
