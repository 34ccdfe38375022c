// SPDX-License-Identifier: MIT

#include "preload/base/held_directory.h"

#include "preload/base/kernel.h"
#include "preload/base/text.h"

namespace heapster::preload {

namespace {

constexpr int kOnTheWay = O_PATH | O_DIRECTORY | O_NOFOLLOW;
constexpr int kAtItsEnd = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kAbsent = -2;  // -ENOENT

// Takes the next name off a path, the first one with its slash; what is left begins with a name. False where it is too
// long.
bool take_name(const char*& path, TextBuilder& name) {
  if (*path == '/') name.add(*path++);
  while (*path == '/') ++path;
  while (*path != '/' && *path != '\0') name.add(*path++);
  while (*path == '/') ++path;
  return !name.full();
}

int open_or_make(int directory, const char* name) {
  const int found = kernel::open_at(directory, name, kAtItsEnd);
  if (found != kAbsent || kernel::call(__NR_mkdirat, directory, kernel::as_long(name), 0700) != 0) return found;
  return kernel::open_at(directory, name, kAtItsEnd);
}

}  // namespace

int open_without_links(const char* path, bool make) {
  int at = AT_FDCWD;
  do {
    char name[256 + 1];
    TextBuilder text(name, sizeof name);
    const bool fits = take_name(path, text);
    int next = -1;
    if (fits && *path != '\0') next = kernel::open_at(at, name, kOnTheWay);
    if (fits && *path == '\0') next = make ? open_or_make(at, name) : kernel::open_at(at, name, kAtItsEnd);
    if (at >= 0) kernel::close(at);
    at = next;
  } while (at >= 0 && *path != '\0');
  return at;
}

bool ours_alone(int descriptor) {
  struct stat status {};
  if (kernel::call(__NR_fstat, descriptor, kernel::as_long(&status)) != 0) return false;
  return status.st_uid == kernel::effective_uid() && (status.st_mode & 077) == 0;
}

DirectoryIdentity identify_directory(const char* path) {
  struct stat status {};
  if (kernel::call(__NR_newfstatat, AT_FDCWD, kernel::as_long(path), kernel::as_long(&status), 0) != 0) return {};
  return {status.st_dev, status.st_ino};
}

int open_same_directory(const char* path, const DirectoryIdentity& known) {
  const int directory = kernel::open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY);
  if (directory < 0) return directory;
  struct stat status {};
  const bool same = kernel::call(__NR_fstat, directory, kernel::as_long(&status)) == 0 && known.inode != 0 &&
                    status.st_dev == known.device && status.st_ino == known.inode;
  if (same) return directory;
  kernel::close(directory);
  return -1;
}

}  // namespace heapster::preload
