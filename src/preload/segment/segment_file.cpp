// SPDX-License-Identifier: MIT

#include "preload/segment/segment_file.h"

#include "layout/stacks.h"
#include "preload/base/config.h"
#include "preload/base/directory.h"
#include "preload/base/held_directory.h"
#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/proc.h"
#include "preload/base/text.h"
#include "preload/segment/segment_memory.h"
#include "preload/segment/segment_name.h"

namespace heapster::preload {

namespace {

constexpr long kTmpfsMagic = 0x01021994;
constexpr int kMaxAncestors = 32;

// Cutting a file that is mapped ends whoever touches it by SIGBUS. Only the one who made it may write to it, through
// the descriptor that it was made with; not even its owner can open it for writing, by a careless `>` or `truncate`.
constexpr unsigned kReadable = 0400;

// Whether anybody else who is measured may live. Each ancestor costs the reading of a file in /proc, and there may be
// many; asking whether a process exists costs next to nothing, where there are few to ask for.
bool others_are_measured(int directory, const Identity& identity) {
  constexpr uint64_t kFew = 32;
  if (entries_in(directory) > kFew) return true;
  bool any = false;
  each_entry(directory, [&](const char* name) {
    SegmentOwner other{};
    if (any || !parse_segment_name(name, other) || other.pid_namespace != identity.pid_namespace) return;
    any = other.pid != identity.pid && kernel::process_exists(other.pid);
  });
  return any;
}

bool on_tmpfs(int directory) { return file_system_of(directory).type == kTmpfsMagic; }

}  // namespace

int open_run_directory() {
  const int directory = open_without_links(config.run_dir, true);
  if (directory < 0 || !ours_alone(directory)) {
    raise(Note::k_no_run_directory);
  } else if (!on_tmpfs(directory)) {
    raise(Note::k_not_on_tmpfs);
  } else {
    return directory;
  }
  if (directory >= 0) kernel::close(directory);
  return -1;
}

bool has_segments(int directory) { return entries_in(directory) != 0; }

int create_segment_file(int directory, const Identity& identity) {
  const size_t bytes = config.stacks != 0 ? kStacksEnd : SegmentMemory::kFileBytes;
  if (!file_size_allowed(bytes)) {
    raise(Note::k_file_size_limit);
    return -1;
  }
  const SegmentName name(identity);
  const int fd = kernel::open_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kReadable);
  if (fd < 0) {
    raise(Note::k_segment_refused);
    return -1;
  }
  bool full = false;
  if (segment.map_file(fd, bytes, full)) return fd;
  kernel::close(fd);
  kernel::unlink_at(directory, name);
  raise(full ? Note::k_no_space : Note::k_segment_refused);
  return -1;
}

bool find_measured_ancestor(int directory, const Identity& identity, uint32_t& pid, uint64_t& ticks) {
  if (!others_are_measured(directory, identity)) return false;
  pid = identity.parent_pid;
  ProcessStat stat{};
  for (int i = 0; i < kMaxAncestors && pid > 1 && read_stat(pid, stat); ++i) {
    if (kernel::exists_at(directory, SegmentName(SegmentOwner{identity.pid_namespace, pid, stat.start_ticks}))) {
      ticks = stat.start_ticks;
      return true;
    }
    pid = stat.parent;
  }
  return false;
}

void remove_segment_file(const Identity& identity) {
  const HeldDirectory directory(open_without_links(config.run_dir, false));
  if (directory >= 0 && ours_alone(directory)) kernel::unlink_at(directory, SegmentName(identity));
}

}  // namespace heapster::preload
