// SPDX-License-Identifier: MIT

#include "run_places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "run_names.h"

namespace heapster::tool {

namespace {

constexpr int kMostOfOneName = 1000;

std::string candidate(const std::string& name, int number) {
  return number == 0 ? name : numbered(name, std::to_string(number));
}

}  // namespace

Shelf::Shelf(std::string path) : path_(std::move(path)) {
  descriptor_ = open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fault_ = path_ + ": " + std::strerror(errno);
}

Shelf::Shelf(const Shelf& parent, const std::string& name) : path_(parent.path_of(name)) {
  if (!parent.is_open()) {
    fault_ = parent.fault();
    return;
  }
  mkdirat(parent.descriptor(), name.c_str(), 0755);
  descriptor_ = openat(parent.descriptor(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat status {};
  if (descriptor_ < 0) {
    const bool link = errno == ENOTDIR || errno == ELOOP;
    fault_ = path_ + ": " + (link ? "a link, or no directory" : std::strerror(errno));
  } else if (fstat(descriptor_, &status) != 0 || status.st_uid != geteuid()) {
    fault_ = path_ + ": belongs to another user";
    close(std::exchange(descriptor_, -1));
  }
}

Shelf::~Shelf() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string Shelf::path_of(const std::string& name) const {
  if (path_ == ".") return name;
  return path_.ends_with('/') ? path_ + name : path_ + "/" + name;
}

bool Shelf::has(const std::string& name) const {
  return faccessat(descriptor_, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

reader::Result<reader::Done> Shelf::take_copy(const reader::FileSource& file, const std::string& path,
                                              const std::string& name) const {
  for (int number = 0;; ++number) {
    const std::string free = candidate(name, number);
    if (has(free) && number < kMostOfOneName) continue;
    auto done =
        reader::dump(file, path, {.directory = descriptor_, .name = free, .path = path_of(free), .replaces = false});
    if (done || errno != EEXIST || number >= kMostOfOneName) return done;
  }
}

bool Shelf::take_over(int directory, const std::string& name) const {
  for (int number = 0; number < kMostOfOneName; ++number) {
    const std::string free = candidate(name, number);
    if (renameat2(directory, name.c_str(), descriptor_, free.c_str(), RENAME_NOREPLACE) == 0) return true;
    if (errno != EEXIST) return false;
  }
  return false;
}

}  // namespace heapster::tool
