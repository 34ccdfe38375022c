// SPDX-License-Identifier: MIT

#include "run_parts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <glob.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <vector>

#include "reader/executable.h"

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

// What LD_PRELOAD holds already, without a heapster of an outer heapster-run: there is one in a process.
std::vector<std::string> preloaded_before() {
  const char* before = std::getenv("LD_PRELOAD");
  std::string list = before != nullptr ? before : "";
  std::replace(list.begin(), list.end(), ' ', ':');
  std::vector<std::string> paths;
  std::istringstream stream(list);
  for (std::string path; std::getline(stream, path, ':');) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (name != "libheapster.so" && name != "libheapster-new.so") paths.push_back(path);
  }
  return paths;
}

std::string joined(std::vector<std::string> paths, const std::vector<std::string>& more) {
  paths.insert(paths.end(), more.begin(), more.end());
  std::erase(paths, "");
  return fmt::format("{}", fmt::join(paths, ":"));
}

// What `ld.so --list` prints, with this LD_PRELOAD; empty where it fails.
std::string list_of_loader(const std::string& loader, const std::string& program, const std::string& preload) {
  const std::string variable = "LD_PRELOAD=" + preload;
  const char* arguments[] = {"env", variable.c_str(), loader.c_str(), "--list", program.c_str(), nullptr};
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  pid_t pid = 0;
  const bool started =
      posix_spawn(&pid, "/usr/bin/env", &actions, nullptr, const_cast<char* const*>(arguments), environ) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(pipe[1]);
  std::string text;
  char part[4096];
  for (ssize_t size; started && (size = read(pipe[0], part, sizeof part)) > 0;) text.append(part, size);
  close(pipe[0]);
  if (started) waitpid(pid, nullptr, 0);
  return text;
}

// The paths of the objects that the dynamic linker would load, in the order of its search: lines like
// "libc.so.6 => /lib/libc.so.6 (0x…)" or "/lib/libx.so (0x…)".
std::vector<std::string> loaded_objects(const std::string& program, const std::string& preload) {
  const auto [binary, loader] = reader::loader_of(program);
  std::vector<std::string> paths;
  if (loader.empty()) return paths;
  paths.push_back(binary);
  std::istringstream lines(list_of_loader(loader, binary, preload));
  for (std::string line; std::getline(lines, line);) {
    const size_t start = line.find('/', line.find("=> /") == std::string::npos ? 0 : line.find("=> /"));
    const size_t end = line.rfind(" (");
    if (start != std::string::npos && end != std::string::npos && start < end) {
      paths.push_back(line.substr(start, end - start));
    }
  }
  return paths;
}

}  // namespace

reader::Result<std::string> find_preload(bool counts_operators) {
  const std::string name = counts_operators ? "libheapster-new.so" : "libheapster.so";
  const std::string here = own_directory();
  for (const std::string& path : {here + "/" + name, here + "/../" HEAPSTER_LIBDIR "/" + name}) {
    char whole[PATH_MAX];
    if (access(path.c_str(), R_OK) == 0 && realpath(path.c_str(), whole) != nullptr) return std::string(whole);
  }
  return reader::Error{fmt::format("{} is neither in {} nor in {}/../" HEAPSTER_LIBDIR, name, here, here)};
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
  for (const std::string& path : {preload, allocator}) {
    if (path.find_first_of(" :") != std::string::npos) {
      return reader::Error{fmt::format("{}: the dynamic linker cannot preload a path with a space or a colon", path)};
    }
  }
  return joined({preload, allocator}, preloaded_before());
}

bool brings_own_new(const std::string& program, const std::string& allocator) {
  for (const std::string& path : loaded_objects(program, joined({allocator}, preloaded_before()))) {
    const reader::Definitions defined = reader::definitions_of(path);
    if (defined.operator_new) return defined.malloc;
  }
  return false;
}

}  // namespace heapster::tool
