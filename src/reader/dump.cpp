// SPDX-License-Identifier: MIT
//
// The copy is bytes, not numbers: what a later version of the segment holds beyond our knowledge
// inside its sections is carried along. Two things are ours to care for: the timeline must not be
// copied while its writer rearranges it, and the copy must know when it was made. The tables of stacks only
// grow; they are copied in the order in which they name each other (stacks.cpp), each with its count of that moment,
// and one behind the other: a segment leaves room for what they may become, and is longer by far.

#include "reader/dump.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "reader/directory.h"
#include "reader/load.h"
#include "reader/proc.h"
#include "reader/strangers.h"

namespace heapster::reader {

namespace {

constexpr int kTries = 8;
constexpr uint64_t kPiece = 64 * 1024;  // what is only zeros is skipped by the piece

Error failed(const std::string& path) { return {path + ": " + std::strerror(errno)}; }

bool move_draft(const Target& to, const std::string& draft) {
  if (to.replaces) return renameat(to.directory, draft.c_str(), to.directory, to.name.c_str()) == 0;
  if (renameat2(to.directory, draft.c_str(), to.directory, to.name.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (faccessat(to.directory, to.name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) return errno = EEXIST, false;
  return renameat(to.directory, draft.c_str(), to.directory, to.name.c_str()) == 0;  // a file system that lacks it
}

// A file in the making: gone again unless it was kept.
class Draft {
 public:
  explicit Draft(const Target& target) : target_(target), name_(beside(target.name)) {
    descriptor_ = openat(target_.directory, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  }
  Draft(const Draft&) = delete;
  ~Draft() {
    const int kept_errno = errno;
    if (descriptor_ >= 0) close(descriptor_);
    if (descriptor_ >= 0 && !kept_) unlinkat(target_.directory, name_.c_str(), 0);
    errno = kept_errno;
  }

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

  bool write(uint64_t offset, std::span<const char> bytes) {
    while (!bytes.empty()) {
      const ssize_t put = pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno != EINTR) return false;
      if (put < 0) continue;
      bytes = bytes.subspan(static_cast<size_t>(put));
      offset += static_cast<uint64_t>(put);
    }
    return true;
  }

  bool extend(uint64_t bytes) { return ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0; }
  bool keep() { return kept_ = move_draft(target_, name_); }

 private:
  static std::string beside(const std::string& target) {
    const size_t name = target.find_last_of('/') + 1;  // 0 where there is no slash
    return target.substr(0, name) + "." + target.substr(name) + "." + std::to_string(getpid());
  }

  const Target& target_;
  std::string name_;
  int descriptor_ = -1;
  bool kept_ = false;
};

class Copy {
 public:
  Copy(const Source& from, Draft& to) : from_(from), to_(to) {}

  bool range(uint64_t offset, uint64_t bytes) { return range(offset, bytes, offset); }

  // Puts a section behind all that was copied so far, and tells where that is. An empty one adds no byte.
  bool append(Section& section) {
    constexpr uint64_t kAlign = 64;
    const uint64_t from = section.offset;
    section.offset = section.used == 0 ? end_ : (end_ + kAlign - 1) / kAlign * kAlign;
    section.capacity = section.used;
    return range(from, section.used * section.item_bytes, section.offset);
  }

  // The section with one text more.
  bool append(Section& section, Text key, const std::string& text) {
    struct {
      uint16_t key, length;
    } const record{static_cast<uint16_t>(key), static_cast<uint16_t>(text.size())};
    std::string bytes(reinterpret_cast<const char*>(&record), sizeof record);
    bytes += text;
    if (!append(section) || !put(section.offset + section.used, bytes)) return false;
    section.used += bytes.size();
    section.capacity = section.used;
    return true;
  }

  bool section(const Section& section) {
    return section.used == 0 || range(section.offset, section.used * section.item_bytes);
  }

  // `before` must be of the owner that `now` names, so a hand-over in between means once more.
  bool slot(const Directory& directory, uint64_t index) {
    std::vector<char> now(directory.shard_bytes());
    for (int left = kTries;; --left) {
      if (!from_.read(directory.now_offset(index), now)) return errno = ENODATA, false;
      const uint32_t generation = shard_head(now).generation;
      if (generation > 1 && !range(directory.before_offset(index), directory.shard_bytes())) return false;
      std::vector<char> again(kShardHeadBytes);
      const bool same = from_.read(directory.now_offset(index), again) && shard_head(again).generation == generation;
      if (same || left == 1) return put(directory.now_offset(index), now);
    }
  }

  bool slots(const Directory& directory) {
    for (uint64_t i = 0; i < directory.slots.used; ++i)
      if (!slot(directory, i)) return false;
    return true;
  }

  // Gives the file its length even where it ends in a hole.
  bool finish() { return to_.extend(end_); }

 private:
  bool range(uint64_t from, uint64_t bytes, uint64_t to) {
    std::vector<char> buffer;
    for (; bytes > 0; from += buffer.size(), to += buffer.size(), bytes -= buffer.size()) {
      buffer.resize(std::min(bytes, kPiece));
      if (!from_.read(from, buffer)) return errno = ENODATA, false;
      if (!put(to, buffer)) return false;
    }
    return true;
  }

  // Skips what is only zeros: in the copy it is a hole that costs nothing.
  bool put(uint64_t offset, std::span<const char> bytes) {
    end_ = std::max(end_, offset + bytes.size());
    return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; }) || to_.write(offset, bytes);
  }

  const Source& from_;
  Draft& to_;
  uint64_t end_ = 0;
};

// The directory as of a moment in which the timeline was whole; copies the timeline.
Result<Directory> copy_timeline(const Source& from, Copy& copy, const std::string& to) {
  for (int left = kTries;; --left) {
    Result<Directory> before = read_directory(from);
    if (!before) return before;
    if (!copy.section(before->timeline)) return failed(to);
    Result<Directory> after = read_directory(from);
    if (!after) return after;
    const uint32_t stamp = before->header.published.timeline_stamp;
    if (left == 1 || (stamp % 2 == 0 && stamp == after->header.published.timeline_stamp)) return before;
  }
}

// What `section` says in the copy: the file may have told another count a moment ago.
void tell(Header& header, const Section& section) {
  for (uint32_t i = 0; i < header.section_count; ++i)
    if (header.sections[i].type == section.type && section.type != 0) header.sections[i] = section;
}

// Samples, then the stacks that they name, then what those name.
bool copy_stacks(const Source& from, Copy& copy, const Directory& first, Header& header) {
  if (first.sampling.used == 0) return true;
  const auto append = [&](Section section) {
    if (!copy.append(section)) return false;
    tell(header, section);
    return true;
  };
  if (!append(first.sampling) || !append(first.samples)) return false;
  const Result<Directory> second = read_directory(from);
  if (!second) return errno = ENODATA, false;
  if (!append(second->stacks)) return false;
  const Result<Directory> third = read_directory(from);
  if (!third) return errno = ENODATA, false;
  return append(third->frames) && append(third->modules);
}

// A segment that no snapshot was made of yet: it tells neither of which boot it is nor when it was seen.
bool is_segment(const Header& header) {
  return header.state == static_cast<uint32_t>(State::kRunning) && header.ending.time == 0;
}

// Tells in the copy what is known of this moment; false where nobody saw the process in it.
bool tell_moment(Header& header, const Witness* witness, uint64_t inode) {
  if (!is_segment(header)) return false;
  if (witness != nullptr) {
    header.ending.time = std::max<uint64_t>(witness->time, 1);
    header.waited = kWaited | (witness->status & kWaitStatus);
    header.notes[static_cast<uint32_t>(Note::k_oom_kill)] = witness->oom_kills;
    return true;
  }
  const auto standing = Strangers().standing_of(header.identity, inode);
  if (!standing || standing->hold != Hold::kMapped) return false;
  header.ending.time = std::max<uint64_t>(nanoseconds_since_start(standing->pid, header.identity), 1);
  return true;
}

bool copy_texts(Copy& copy, const Directory& directory, Header& header, bool of_this_boot) {
  if (!of_this_boot) return copy.section(directory.texts);
  Section texts = directory.texts;
  if (!copy.append(texts, Text::k_boot_id, boot_id())) return false;
  tell(header, texts);
  return true;
}

// Whether what was written is a snapshot, by the reader's own judgement.
Result<Done> read_back(const Draft& draft, const std::string& to) {
  const Result<FileSource> written = FileSource::of(draft.descriptor(), to);
  if (!written) return written.error();
  if (const Result<Snapshot> snapshot = load(*written); !snapshot)
    return errno = EBADMSG, Error{to + ": the copy cannot be read back (" + snapshot.error().text + ")"};
  return Done{};
}

}  // namespace

Result<Done> dump(const FileSource& from, const std::string& path, const Target& to, const Witness* witness) {
  errno = 0;
  if (const Result<Directory> sound = read_directory(from); !sound) return Error{path + ": " + sound.error().text};
  struct stat status {};
  const bool found = fstatat(to.directory, to.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (found && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return Error{to.path + ": not a regular file"};
  Draft draft(to);
  if (!draft.is_open()) return failed(to.path);
  Copy copy(from, draft);
  Result<Directory> directory = copy_timeline(from, copy, to.path);
  if (!directory) return Error{path + ": " + directory.error().text};
  Header header = directory->header;
  const bool seen = tell_moment(header, witness, from.inode());
  const bool copied = copy.section(directory->schema) && copy.section(directory->live_at_peak) &&
                      copy.section(directory->live_at_fork) && copy.section(directory->arenas) &&
                      copy.slots(*directory) && copy_stacks(from, copy, *directory, header) &&
                      copy_texts(copy, *directory, header, seen) && copy.finish() &&
                      draft.write(0, {reinterpret_cast<const char*>(&header), sizeof header});
  if (!copied) return failed(to.path);
  if (Result<Done> sound = read_back(draft, to.path); !sound) return sound;
  if (!draft.keep()) return failed(to.path);
  return Done{};
}

Result<Done> dump(const std::string& segment, const std::string& to, const Witness* witness) {
  const Result<FileSource> from = FileSource::open(segment);
  if (!from) return from.error();
  return dump(*from, segment, {.directory = AT_FDCWD, .name = to, .path = to, .replaces = true}, witness);
}

}  // namespace heapster::reader
