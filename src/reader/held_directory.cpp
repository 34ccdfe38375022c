// SPDX-License-Identifier: MIT

#include "reader/held_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace heapster::reader {

namespace {

constexpr mode_t kOthers = 077;
constexpr mode_t kOursAlone = 0700;

// Takes the next name off an absolute path; the first one keeps its slash.
std::string take_name(std::string& path) {
  const size_t start = path.find_first_not_of('/');
  const size_t end = std::min(path.find('/', start), path.size());
  std::string name = path.substr(0, end);
  path.erase(0, std::min(path.find_first_not_of('/', end), path.size()));
  return name;
}

// One name after the other, so that no link leads elsewhere. Negative, with errno, where that fails.
int open_without_links(std::string path, bool make) {
  int at = AT_FDCWD;
  for (;;) {
    const std::string name = take_name(path);
    const bool last = path.empty();
    const int flags = (last ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int next = openat(at, name.c_str(), flags);
    if (next < 0 && last && make && errno == ENOENT && mkdirat(at, name.c_str(), kOursAlone) == 0)
      next = openat(at, name.c_str(), flags);
    const int fault = errno;
    if (at >= 0) close(at);
    errno = fault;
    at = next;
    if (last || at < 0) return at;
  }
}

// Why a directory is not to be trusted; empty where it is.
std::string fault_of(int directory) {
  struct stat status {};
  if (fstat(directory, &status) != 0) return std::strerror(errno);
  if (status.st_uid != geteuid()) return "belongs to user " + std::to_string(status.st_uid);
  if ((status.st_mode & kOthers) != 0) return "is open to other users";
  return "";
}

}  // namespace

Result<HeldDirectory> HeldDirectory::open(const std::string& path) {
  HeldDirectory directory(path);
  if (!path.starts_with('/') || path.find_first_not_of('/') == std::string::npos)
    return Error{path + ": no absolute path of a run directory"};
  directory.descriptor_ = open_without_links(path, false);
  if (directory.descriptor_ < 0) {
    if (errno == ENOENT) return directory;
    // A link is not a directory to O_DIRECTORY.
    const bool link = errno == ENOTDIR || errno == ELOOP;
    return Error{path + ": " + (link ? "a link or a file lies on the way" : std::strerror(errno)) +
                 "; not used as a run directory"};
  }
  const std::string fault = fault_of(directory.descriptor_);
  if (!fault.empty()) return Error{path + ": " + fault + "; not used as a run directory"};
  return directory;
}

Result<HeldDirectory> HeldDirectory::make(const std::string& path) {
  Result<HeldDirectory> found = open(path);
  if (!found || found->is_there()) return found;
  if (const int made = open_without_links(path, true); made >= 0) close(made);
  return open(path);
}

HeldDirectory::HeldDirectory(HeldDirectory&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

HeldDirectory::~HeldDirectory() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::vector<Entry> HeldDirectory::entries(bool (*wanted)(const std::string& name)) const {
  std::vector<Entry> entries;
  const int again = is_there() ? openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  DIR* directory = again >= 0 ? fdopendir(again) : nullptr;
  if (directory == nullptr) {
    if (again >= 0) close(again);
    return entries;
  }
  while (const dirent* entry = readdir(directory))
    if (wanted(entry->d_name)) entries.push_back({entry->d_name, entry->d_ino});
  closedir(directory);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

bool HeldDirectory::remove(const std::string& name) const { return unlinkat(descriptor_, name.c_str(), 0) == 0; }

}  // namespace heapster::reader
