// SPDX-License-Identifier: MIT

#include "preload/snapshot/snapshot_writer.h"

#include "preload/base/clock.h"
#include "preload/base/held_directory.h"
#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/proc.h"
#include "preload/base/process_state.h"
#include "preload/base/text.h"
#include "preload/count/publish.h"
#include "preload/count/threads.h"
#include "preload/sampling/stack_tables.h"
#include "preload/segment/sections.h"
#include "preload/segment/segment_memory.h"
#include "preload/segment/texts.h"
#include "preload/snapshot/snapshot_name.h"

namespace heapster::preload {

namespace {

// What one writer needs, too large for the small stacks that a handler or a thread may run on. The
// end of the program has one of its own, so that it never waits for a dump that is under way.
struct Desk {
  uint32_t lock;
  char directory[kPathRoom];  // into which it writes
  char temporary[40];
  Header patched;
  Sample samples[256];
};
enum : size_t { kEnd, kDump, kStart, kDesks };
Desk desks[kDesks];
HEAPSTER_ASIDE char numbered_path[kPathRoom];
HEAPSTER_ASIDE char earlier_text[kTextsBytes];

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

uint64_t end_of_slots(const Header& header) {
  return kSlotsOffset + header.sections[kSlotsSection].used * sizeof(Slot);
}

// The tables of stacks lie far behind in a segment, with room to grow. A snapshot's follow its slots, and hold what
// is used: their entries in its directory say so. Returns where the file ends.
uint64_t move_up_tables(Header& header) {
  uint64_t at = end_of_slots(header);
  for (uint32_t i = kSamplingSection; i < header.section_count && i < kMaxSections; ++i) {
    Section& table = header.sections[i];
    if (table.used > table.capacity) table.used = table.capacity;
    table.capacity = table.used;
    table.offset = at;
    at += (table.used * table.item_bytes + 7) & ~uint64_t{7};
  }
  return at;
}

// Calls write(address, bytes, offset) for each part of a segment that is in use: part_at(offset) is where it lies in
// memory, and `header` says where it goes.
template <typename SlotAt, typename TableAt, typename Write>
bool each_used_part(const char* base, const Header& header, SlotAt slot_at, TableAt table_at, Write write) {
  const Section& timeline = header.sections[kTimelineSection];
  const size_t points = timeline.used < kTimelinePoints ? timeline.used : kTimelinePoints;
  bool good = write(base + kTextsOffset, kTimelineOffset - kTextsOffset, kTextsOffset) &&
              write(base + kTimelineOffset, points * sizeof(TimelinePoint), kTimelineOffset);
  const uint64_t arenas = header.sections[kArenasSection].used;
  if (good && arenas != 0 && arenas <= kMaxArenas)
    good = write(base + kArenasOffset, arenas * sizeof(heapster_arena), kArenasOffset);
  const uint64_t used = header.sections[kSlotsSection].used;
  for (uint32_t i = 0; good && i < used && i < kMaxSlots; ++i) {
    const Slot* slot = slot_at(i);
    if (slot == nullptr) continue;
    const uint64_t offset = kSlotsOffset + i * sizeof(Slot);
    good = write(&slot->now, kShardBytes, offset);
    if (good && load(slot->now.generation) > 1) good = write(&slot->before, kShardBytes, offset + kShardBytes);
  }
  for (uint32_t i = kSamplingSection; good && i < header.section_count; ++i) {
    const Section& table = header.sections[i];
    if (table.used != 0 && i != kSamplesSection) good = write(table_at(i), table.used * table.item_bytes, table.offset);
  }
  return good;
}

// Of the samples only those are written whose blocks live: they come last in the file, and the directory is told
// how many there were.
bool write_samples(Desk& desk, int fd, const Sample* samples) {
  Section& table = desk.patched.sections[kSamplesSection];
  const uint64_t places = desk.patched.section_count > kSamplesSection ? table.used : 0;
  constexpr size_t kRoom = sizeof desk.samples / sizeof(Sample);
  uint64_t written = 0;
  size_t waiting = 0;
  const auto flush = [&] {
    const bool good = write_all(fd, desk.samples, waiting * sizeof(Sample), table.offset + written * sizeof(Sample));
    written += waiting;
    waiting = 0;
    return good;
  };
  for (uint64_t i = 0; i < places; ++i) {
    if (load(samples[i].pointer) == 0) continue;
    desk.samples[waiting++] = samples[i];
    if (waiting == kRoom && !flush()) return false;
  }
  if (!flush()) return false;
  if (places != 0) table.used = table.capacity = written;
  return true;
}

// Only a regular file is replaced: /dev/null, a pipe or a link are somebody else's.
bool may_replace(int directory, const char* name) {
  struct stat status {};
  const long found =
      kernel::call(__NR_newfstatat, directory, kernel::as_long(name), kernel::as_long(&status), AT_SYMLINK_NOFOLLOW);
  return found != 0 || S_ISREG(status.st_mode);
}

// Under a short name: the path's own may be as long as names can be.
int create_temporary(Desk& desk, int directory) {
  TextBuilder(desk.temporary, sizeof desk.temporary)
      .add(".heapster.")
      .add(kernel::pid())
      .add(static_cast<char>('a' + (&desk - desks)));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  int fd = kernel::open_at(directory, desk.temporary, kFlags, 0600);
  if (fd == -17) {  // EEXIST: left by a process of this number that was killed meanwhile
    kernel::unlink_at(directory, desk.temporary);
    fd = kernel::open_at(directory, desk.temporary, kFlags, 0600);
  }
  return fd;
}

void remove_temporary(const Desk& desk) {
  const HeldDirectory directory(open_same_directory(desk.directory, snapshot_directory()));
  if (directory >= 0) kernel::unlink_at(directory, desk.temporary);
}

// Writes the desk's header and what `write_parts(fd)` writes to the path, or leaves nothing there; into this directory
// and no other.
template <typename WriteParts>
bool write_file(Desk& desk, const char* path, const DirectoryIdentity& home, WriteParts write_parts) {
  const uint64_t size = move_up_tables(desk.patched);
  if (!file_size_allowed(size)) return false;
  const HeldDirectory directory(open_same_directory(desk.directory, home));
  const char* name = base_name(path);
  const int fd = directory >= 0 && may_replace(directory, name) ? create_temporary(desk, directory) : -1;
  if (fd < 0) return false;
  bool good = write_parts(fd) && write_all(fd, &desk.patched, sizeof desk.patched, 0);
  kernel::close(fd);
  good = good && kernel::rename_in(directory, desk.temporary, name) == 0;
  if (!good) kernel::unlink_at(directory, desk.temporary);
  return good;
}

// A segment is of the boot that its reader lives in; a snapshot may be read at another time.
constinit uint32_t boot_told = 0;
void tell_boot() {
  if (load(boot_told) != 0 || __atomic_exchange_n(&boot_told, 1u, __ATOMIC_RELAXED) != 0) return;
  char boot[64];
  if (read_text("/proc/sys/kernel/random/boot_id", boot, sizeof boot) != 0)
    add_late_text(segment.header(), Text::k_boot_id, boot);
}

// For write_file. False where it is too long.
bool take_directory(Desk& desk, const char* path) {
  TextBuilder text(desk.directory, sizeof desk.directory);
  add_directory_of(text, path);
  return !text.full();
}

bool write_own(Desk& desk, const char* path) {
  tell_boot();
  copy_words(&desk.patched, segment.header(), sizeof desk.patched);
  if (!ending()) stamp(desk.patched.ending);
  const bool good =
      take_directory(desk, path) && write_file(desk, path, snapshot_directory(), [&desk](int fd) {
        return each_used_part(
                   reinterpret_cast<const char*>(segment.header()), desk.patched,
                   [](uint32_t i) { return segment.slot(i); },
                   [](uint32_t i) { return stacks.part(segment.header()->sections[i].offset); },
                   [fd](const void* at, size_t bytes, uint64_t offset) { return write_all(fd, at, bytes, offset); }) &&
               write_samples(desk, fd, reinterpret_cast<const Sample*>(stacks.part(kSamplesOffset)));
      });
  if (!good) raise(Note::k_snapshot_failed);
  return good;
}

}  // namespace

void stamp(Ending& ending) {
  const uint64_t now = since_start(fine_time_of_kernel());
  ending.time = now != 0 ? now : 1;  // 0 says that there was no end
  read_usage(ending);
}

bool write_exit_snapshot() {
  const bool good = snapshot_path()[0] == '\0' || write_own(desks[kEnd], snapshot_path());
  if (load(desks[kDump].lock) != 0) remove_temporary(desks[kDump]);  // it will not be finished
  return good;
}

void write_dump() {
  const TryLock lock(desks[kDump].lock);
  if (!lock || ending()) return;  // another thread is at it, or the last snapshot: that one serves
  refresh_names();
  look_for_snapshot();
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
    if (desk.temporary[0] != '\0') remove_temporary(desk);
  }
}

void restart_snapshots() {
  boot_told = 0;
  for (Desk& desk : desks) {
    desk.lock = 0;
    desk.temporary[0] = '\0';
  }
}

// Whether a file that an earlier image left is as large as its own directory says.
bool fits(const Header& earlier, size_t size) {
  if (end_of_slots(earlier) > size || earlier.section_count > kMaxSections) return false;
  for (uint32_t i = kSamplingSection; i < earlier.section_count; ++i) {
    const Section& table = earlier.sections[i];
    if (table.offset > size || table.item_bytes == 0 || table.used > (size - table.offset) / table.item_bytes)
      return false;
    if (i == kSamplesSection && table.item_bytes != sizeof(Sample)) return false;
  }
  return true;
}

// What its segment calls the earlier image's executable, as one part of a name; null where that cannot be one.
const char* executable_in(const char* texts, size_t used) {
  if (!find_text(texts, used, Text::k_executable, earlier_text, sizeof earlier_text)) return nullptr;
  const char* name = base_name(earlier_text);
  return name[0] == '\0' || equal(name, ".") || equal(name, "..") ? nullptr : name;
}

// Whether the earlier image wanted a snapshot.
bool wanted_in(const char* texts, size_t used) {
  return !find_text(texts, used, Text::k_snapshot, earlier_text, sizeof earlier_text) || earlier_text[0] != '\0';
}

// Its name: our pattern, our number, and which image it was.
const char* name_earlier(const char* base, const Header& earlier, Identity identity, bool is_root) {
  const size_t used = earlier.sections[kTextsSection].used;
  const char* executable = executable_in(base + kTextsOffset, used);
  if (executable == nullptr) return "";
  identity.image = earlier.identity.image;
  identity.started_epoch = earlier.identity.started_epoch;
  return name_of_earlier(identity, executable, is_root);
}

bool save_replaced(int fd, const Header& earlier, const Identity& identity, bool is_root) {
  if (earlier.version != kFormatVersion || earlier.sections[kSlotsSection].used > kMaxSlots) return false;
  struct stat status {};
  if (kernel::call(__NR_fstat, fd, kernel::as_long(&status)) != 0) return false;
  const auto size = static_cast<size_t>(status.st_size);
  if (!fits(earlier, size)) return false;
  const char* base = static_cast<const char*>(kernel::map_read_only(size, fd));
  if (base == nullptr) return false;
  Header& header = desks[kStart].patched;
  memcpy(&header, &earlier, sizeof header);
  header.state = static_cast<uint32_t>(State::kReplaced);
  header.ending.time = header.published.time;
  const auto write_parts = [&](int to) {
    return each_used_part(
               base, header, [base](uint32_t i) { return reinterpret_cast<const Slot*>(base + kSlotsOffset) + i; },
               [base, &earlier](uint32_t i) { return base + earlier.sections[i].offset; },
               [to](const void* part, size_t bytes, uint64_t offset) { return write_all(to, part, bytes, offset); }) &&
           write_samples(desks[kStart], to,
                         reinterpret_cast<const Sample*>(base + earlier.sections[kSamplesSection].offset));
  };
  Desk& desk = desks[kStart];
  const auto write = [&](const char* path) {
    return path[0] != '\0' && take_directory(desk, path) &&
           write_file(desk, path, identify_directory(desk.directory), write_parts);
  };
  const bool none = !wanted_in(base + kTextsOffset, header.sections[kTextsSection].used);
  const bool good = none || write(name_earlier(base, earlier, identity, is_root));
  kernel::unmap(const_cast<char*>(base), size);
  return good;
}

}  // namespace heapster::preload
