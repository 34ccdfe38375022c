// SPDX-License-Identifier: MIT
//
// Opening what a user names. The name may be a directory, a FIFO, a device or a link that
// somebody else has put there: all of these are told apart before the first byte is read.

#include "reader/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace heapster::reader {

namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

Error cannot_open(const std::string& path, int error) {
  if (error == ELOOP) return {path + ": is a symbolic link"};
  return {path + ": " + std::strerror(error)};
}

Error is_no_file(const std::string& path, mode_t mode) {
  if (S_ISLNK(mode)) return cannot_open(path, ELOOP);
  return {path + ": is " + kind_of(mode) + ", not a file"};
}

Result<mode_t> mode_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return cannot_open(path, errno);
  return status.st_mode;
}

// Opening a device can be an act of its own, so first it is only looked at. `handle` is of O_PATH.
int open_for_reading(int handle, int directory, const std::string& name, int no_links) {
  const std::string same = "/proc/self/fd/" + std::to_string(handle);
  const int descriptor = open(same.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor >= 0 || errno != ENOENT) return descriptor;
  return openat(directory, name.c_str(), O_RDONLY | no_links | O_NONBLOCK | O_CLOEXEC);  // no /proc
}

Result<int> open_regular_at(int directory, const std::string& name, const std::string& path, Links links) {
  const int no_links = links == Links::kRefuse ? O_NOFOLLOW : 0;
  const int handle = openat(directory, name.c_str(), O_PATH | no_links | O_CLOEXEC);
  if (handle < 0) return cannot_open(path, errno);
  Result<mode_t> mode = mode_of(handle, path);
  if (!mode || !S_ISREG(*mode)) {
    close(handle);
    return mode ? is_no_file(path, *mode) : mode.error();
  }
  const int descriptor = open_for_reading(handle, directory, name, no_links);
  const int error = errno;
  close(handle);
  if (descriptor < 0) return cannot_open(path, error);
  mode = mode_of(descriptor, path);
  if (mode && S_ISREG(*mode)) return descriptor;
  close(descriptor);
  return mode ? is_no_file(path, *mode) : mode.error();
}

}  // namespace

Result<int> open_regular(const std::string& path, Links links) { return open_regular_at(AT_FDCWD, path, path, links); }

Result<FileSource> FileSource::open(const std::string& path, Links links) {
  const Result<int> descriptor = open_regular(path, links);
  return descriptor ? owning(*descriptor, path) : descriptor.error();
}

Result<FileSource> FileSource::open_at(int directory, const std::string& name, const std::string& path) {
  const Result<int> descriptor = open_regular_at(directory, name, path, Links::kRefuse);
  return descriptor ? owning(*descriptor, path) : descriptor.error();
}

Result<FileSource> FileSource::owning(int descriptor, const std::string& path) {
  FileSource file;
  file.descriptor_ = descriptor;
  return look_at(std::move(file), path);
}

Result<FileSource> FileSource::of(int descriptor, const std::string& path) {
  return owning(fcntl(descriptor, F_DUPFD_CLOEXEC, 0), path);
}

Result<FileSource> FileSource::look_at(FileSource file, const std::string& path) {
  struct stat status {};
  if (file.descriptor_ < 0 || fstat(file.descriptor_, &status) != 0) return cannot_open(path, errno);
  if (!S_ISREG(status.st_mode)) return is_no_file(path, status.st_mode);
  file.size_ = static_cast<uint64_t>(status.st_size);
  file.device_ = status.st_dev;
  file.inode_ = status.st_ino;
  file.user_ = status.st_uid;
  return file;
}

FileSource::FileSource(FileSource&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      device_(other.device_),
      inode_(other.inode_),
      user_(other.user_) {}

FileSource::~FileSource() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool FileSource::read(uint64_t offset, std::span<char> to) const {
  if (to.empty()) return true;
  if (offset > size_ || to.size() > size_ - offset) return false;
  while (!to.empty()) {
    const ssize_t got = pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to = to.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return true;
}

uint64_t FileSource::data_from(uint64_t offset) const {
  const off_t found = lseek(descriptor_, static_cast<off_t>(offset), SEEK_DATA);
  if (found >= 0) return static_cast<uint64_t>(found);
  return errno == ENXIO ? std::max(offset, size_) : offset;  // no file system need know
}

bool MemorySource::read(uint64_t offset, std::span<char> to) const {
  if (to.empty()) return true;
  if (offset > bytes_.size() || to.size() > bytes_.size() - offset) return false;
  std::memcpy(to.data(), bytes_.data() + offset, to.size());
  return true;
}

}  // namespace heapster::reader
