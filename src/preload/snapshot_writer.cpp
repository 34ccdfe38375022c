// SPDX-License-Identifier: MIT

#include "preload/snapshot_writer.h"

#include <sys/resource.h>

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

// Too large for the small stacks that a handler or a thread may run on; guarded by path_lock.
char numbered_path[kPathRoom];
char temporary_path[kPathRoom + 32];
Header patched;
constinit uint32_t path_lock = 0;

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

bool size_allowed(uint64_t bytes) {
  rlimit limit{};
  if (kernel::call(__NR_prlimit64, 0, RLIMIT_FSIZE, 0, kernel::as_long(&limit)) != 0) return true;
  return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= bytes;
}

int create_temporary(const char* path) {
  TextBuilder name(temporary_path, sizeof temporary_path);
  const size_t directory = static_cast<size_t>(base_name(path) - path);
  name.add(path, directory).add('.').add(path + directory).add('.').add(kernel::pid());
  if (name.full()) return -1;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  int fd = kernel::open_at(AT_FDCWD, temporary_path, kFlags, 0600);
  if (fd == -17) {  // EEXIST: left by a process of this number that was killed meanwhile
    kernel::unlink_at(AT_FDCWD, temporary_path);
    fd = kernel::open_at(AT_FDCWD, temporary_path, kFlags, 0600);
  }
  return fd;
}

// Writes the header and what `write_parts(fd)` writes to the path, or leaves nothing there.
template <typename WriteParts>
bool write_file(const char* path, const Header& header, WriteParts write_parts) {
  const uint64_t most = kSlotsOffset + header.sections[kSlotsSection].used * sizeof(Slot);
  const int fd = size_allowed(most) ? create_temporary(path) : -1;
  if (fd < 0) return false;
  bool good = write_all(fd, &header, sizeof header, 0) && write_parts(fd);
  kernel::close(fd);
  good = good && kernel::rename(temporary_path, path) == 0;
  if (!good) kernel::unlink_at(AT_FDCWD, temporary_path);
  return good;
}

bool write_own(const char* path) {
  memcpy(&patched, segment.header(), sizeof patched);
  patched.ending.time = since_start(coarse_time_of_kernel());
  read_usage(patched.ending);
  const bool good = write_file(path, patched, [](int fd) {
    return each_used_part(
        reinterpret_cast<const char*>(segment.header()), patched, [](uint32_t i) { return segment.slot(i); },
        [fd](const void* at, size_t bytes, uint64_t offset) { return write_all(fd, at, bytes, offset); });
  });
  if (!good) raise(Note::k_snapshot_failed);
  return good;
}

}  // namespace

bool write_exit_snapshot() {
  if (snapshot_path()[0] == '\0') return true;
  const TryLock lock(path_lock);
  return lock && write_own(snapshot_path());
}

void write_dump() {
  const TryLock lock(path_lock);
  if (!lock) return;  // another thread is at it: that snapshot serves
  refresh_names();
  const uint32_t number = __atomic_add_fetch(&segment.header()->snapshots, 1u, __ATOMIC_RELAXED);
  TextBuilder path(numbered_path, sizeof numbered_path);
  add_numbered(path, dump_path(), number);
  if (dump_path()[0] == '\0' || path.full()) {
    raise(Note::k_snapshot_failed);
  } else {
    write_own(numbered_path);
  }
}

bool save_replaced(int fd, Header& earlier) {
  if (earlier.version != kFormatVersion || earlier.sections[kSlotsSection].used > kMaxSlots) return false;
  const size_t size = kSlotsOffset + earlier.sections[kSlotsSection].used * sizeof(Slot);
  struct stat status {};
  if (kernel::call(__NR_fstat, fd, kernel::as_long(&status)) != 0) return false;
  if (static_cast<size_t>(status.st_size) < size) return false;
  const char* base = static_cast<const char*>(kernel::map_read_only(size, fd));
  if (base == nullptr) return false;
  char path[kPathRoom];
  find_text(base + kTextsOffset, earlier.sections[kTextsSection].used, Text::k_snapshot, path, sizeof path);
  earlier.state = static_cast<uint32_t>(State::kReplaced);
  earlier.ending.time = earlier.published.time;
  const bool good =
      path[0] == '\0' || write_file(path, earlier, [&](int to) {
        return each_used_part(
            base, earlier, [base](uint32_t i) { return reinterpret_cast<const Slot*>(base + kSlotsOffset) + i; },
            [to](const void* part, size_t bytes, uint64_t offset) { return write_all(to, part, bytes, offset); });
      });
  kernel::unmap(const_cast<char*>(base), size);
  return good;
}

}  // namespace heapster::preload
