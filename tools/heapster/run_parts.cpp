// SPDX-License-Identifier: MIT

#include "run_parts.h"

#include <fmt/format.h>
#include <glob.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace heapster::tool {

namespace {

struct KnownAllocator {
  std::string_view name;
  std::string_view file;     // a glob, below a library directory
  std::string_view package;  // Debian's
};

constexpr std::array kAllocators{
    KnownAllocator{"jemalloc", "libjemalloc.so.2", "libjemalloc2"},
    KnownAllocator{"mimalloc", "libmimalloc.so.*", "libmimalloc2.0"},
    KnownAllocator{"tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"},
};
constexpr const char* kLibraryDirectories[] = {"/usr/local/lib", "/usr/lib/x86_64-linux-gnu",
                                               "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"};

std::string own_directory() {
  char path[PATH_MAX] = {};
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
  const std::string_view text(path, size > 0 ? static_cast<size_t>(size) : 0);
  return std::string(text.substr(0, text.rfind('/')));
}

std::string first_match(const std::string& pattern) {
  glob_t found{};
  std::string path;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc != 0) path = found.gl_pathv[0];
  globfree(&found);
  return path;
}

std::string names_of_allocators() {
  std::string names;
  for (const KnownAllocator& known : kAllocators) names += std::string(known.name) + ", ";
  return names + "or a path";
}

}  // namespace

reader::Result<std::string> find_preload() {
  const std::string here = own_directory();
  for (const std::string& path : {here + "/libheapster.so", here + "/../" HEAPSTER_LIBDIR "/libheapster.so"}) {
    char whole[PATH_MAX];
    if (access(path.c_str(), R_OK) == 0 && realpath(path.c_str(), whole) != nullptr) return std::string(whole);
  }
  return reader::Error{fmt::format("libheapster.so is neither in {} nor in {}/../" HEAPSTER_LIBDIR, here, here)};
}

reader::Result<std::string> find_allocator(const std::string& name) {
  for (const KnownAllocator& known : kAllocators) {
    if (name != known.name) continue;
    for (const char* directory : kLibraryDirectories) {
      const std::string path = first_match(fmt::format("{}/{}", directory, known.file));
      if (!path.empty()) return path;
    }
    return reader::Error{fmt::format("{} is not installed (Debian: apt-get install {})", name, known.package)};
  }
  char whole[PATH_MAX];
  if (name.find('/') != std::string::npos && access(name.c_str(), R_OK) == 0 &&
      realpath(name.c_str(), whole) != nullptr) {
    return std::string(whole);
  }
  return reader::Error{fmt::format("no allocator '{}' ({})", name, names_of_allocators())};
}

reader::Result<std::string> preload_list(const std::string& preload, const std::string& allocator) {
  std::string list = preload;
  if (!allocator.empty()) list += ":" + allocator;
  for (const std::string& path : {preload, allocator}) {
    if (path.find_first_of(" :") != std::string::npos) {
      return reader::Error{fmt::format("{}: the dynamic linker cannot preload a path with a space or a colon", path)};
    }
  }
  if (const char* before = std::getenv("LD_PRELOAD"); before != nullptr && *before != '\0')
    list += std::string(":") + before;
  return list;
}

}  // namespace heapster::tool
