// SPDX-License-Identifier: MIT
//
// Reading /proc. All of its files are produced while they are read and may end anywhere, as the
// process may; whatever does not parse counts as absent.

#include "reader/proc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>

namespace heapster::reader {

namespace {

std::string of_process(uint32_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

std::optional<std::string> read_all(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::string text;
  char part[16384];
  ssize_t got = 0;
  while ((got = read(descriptor, part, sizeof part)) > 0) text.append(part, static_cast<size_t>(got));
  close(descriptor);
  return got < 0 ? std::nullopt : std::optional(text);
}

std::string first_line(const std::string& path) {
  const std::string text = read_all(path).value_or("");
  return text.substr(0, text.find('\n'));
}

// The words of a line, by single spaces.
std::string_view word(std::string_view line, int index) {
  for (; index > 0; --index) {
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  }
  return line.substr(0, line.find(' '));
}

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

bool in_our_namespace(uint64_t pid_namespace) {
  struct stat status {};
  return stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == pid_namespace;
}

}  // namespace

std::optional<uint64_t> start_ticks_of(uint32_t pid) {
  const std::string text = first_line(of_process(pid, "stat"));
  const size_t name_end = text.rfind(')');  // the name before it may hold spaces and parentheses
  if (name_end == std::string::npos || name_end + 2 > text.size()) return std::nullopt;
  const std::string_view after = std::string_view(text).substr(name_end + 2);
  const bool zombie = after.starts_with('Z') || after.starts_with('X');
  return zombie ? std::nullopt : number(word(after, 22 - 3));  // field 3 is the first after the name
}

bool maps_inode(uint32_t pid, uint64_t inode) {
  const std::optional<std::string> maps = read_all(of_process(pid, "maps"));
  if (!maps) return true;
  for (std::string_view rest = *maps; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (number(word(line, 4)) == inode) return true;
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return false;
}

std::string thread_name(uint32_t pid, uint32_t tid) {
  return first_line(of_process(pid, "task/") + std::to_string(tid) + "/comm");
}

std::string boot_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

double epoch_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Presence presence(const Identity& identity, const std::string& boot, uint64_t inode) {
  const bool here = in_our_namespace(identity.pid_namespace) && boot == boot_id() &&
                    start_ticks_of(identity.pid) == identity.start_ticks;
  if (!here) return Presence::kGone;
  return maps_inode(identity.pid, inode) ? Presence::kMapped : Presence::kUnmapped;
}

}  // namespace heapster::reader
