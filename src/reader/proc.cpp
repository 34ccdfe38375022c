// SPDX-License-Identifier: MIT
//
// Reading /proc. All of its files are produced while they are read and may end anywhere, as the
// process may; whatever does not parse counts as absent.

#include "reader/proc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
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

std::optional<uint64_t> hexadecimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "7f00-7f01 rw-s 00000000 00:1a 5  /dev/shm/…"
std::optional<Mapping> parse_mapping(std::string_view line) {
  const std::string_view device = word(line, 3);
  const size_t colon = std::min(device.find(':'), device.size());
  const auto major = hexadecimal(device.substr(0, colon));
  const auto minor = hexadecimal(device.substr(std::min(colon + 1, device.size())));
  const auto offset = hexadecimal(word(line, 2));
  const auto inode = number(word(line, 4));
  const std::string_view rights = word(line, 1);
  if (!major || !minor || !offset || !inode || rights.size() != 4) return std::nullopt;
  const size_t path = line.find('/');
  return Mapping{*offset,
                 *inode,
                 static_cast<uint32_t>(*major),
                 static_cast<uint32_t>(*minor),
                 rights[3] == 's',
                 std::string(path == std::string_view::npos ? "" : line.substr(path))};
}

// The numbers of a line of /proc/PID/status.
std::vector<uint64_t> status_numbers(uint32_t pid, std::string_view key) {
  std::vector<uint64_t> numbers;
  const std::string text = read_all(of_process(pid, "status")).value_or("");
  const size_t start = text.find("\n" + std::string(key) + ":\t");
  if (start == std::string::npos) return numbers;
  std::string line = text.substr(start + key.size() + 3);
  line.resize(std::min(line.find('\n'), line.size()));
  std::replace(line.begin(), line.end(), '\t', ' ');
  for (int i = 0; const auto value = number(word(line, i)); ++i) numbers.push_back(*value);
  return numbers;
}

// Only an exec gives a process that had no rights a real and an effective user or group that differ.
bool gained_rights(uint32_t pid, const Identity& identity) {
  if (identity.uid == 0 || !in_our_namespace(identity.pid_namespace)) return false;
  const std::vector<uint64_t> users = status_numbers(pid, "Uid");
  const std::vector<uint64_t> groups = status_numbers(pid, "Gid");
  return users.size() == 4 && groups.size() == 4 && (users[1] != identity.uid || groups[0] != groups[1]);
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

std::optional<std::vector<Mapping>> mappings_of(uint32_t pid) {
  const std::optional<std::string> maps = read_all(of_process(pid, "maps"));
  if (!maps) return std::nullopt;
  std::vector<Mapping> mappings;
  for (std::string_view rest = *maps; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (auto mapping = parse_mapping(line)) mappings.push_back(std::move(*mapping));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  return mappings;
}

std::optional<View> view_of(const std::string& process) {
  const std::string path = "/proc/" + process;
  struct stat pids {
  }, mounts{};
  if (stat((path + "/ns/pid").c_str(), &pids) != 0 || stat((path + "/ns/mnt").c_str(), &mounts) != 0)
    return std::nullopt;
  char root[PATH_MAX];
  const ssize_t size = readlink((path + "/root").c_str(), root, sizeof root);
  if (size < 0) return std::nullopt;
  return View{pids.st_ino, mounts.st_ino, std::string(root, static_cast<size_t>(size))};
}

bool in_our_namespace(uint64_t pid_namespace) {
  struct stat status {};
  return stat("/proc/self/ns/pid", &status) == 0 && status.st_ino == pid_namespace;
}

std::optional<uint32_t> inner_pid_of(uint32_t pid) {
  const std::vector<uint64_t> numbers = status_numbers(pid, "NSpid");
  if (numbers.empty()) return std::nullopt;
  return static_cast<uint32_t>(numbers.back());
}

std::string thread_name(uint32_t pid, uint32_t tid) {
  return first_line(of_process(pid, "task/") + std::to_string(tid) + "/comm");
}

std::string boot_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

double epoch_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Hold hold_of(uint32_t pid, const Identity& identity, uint64_t inode) {
  const auto mappings = mappings_of(pid);
  if (!mappings) return gained_rights(pid, identity) ? Hold::kReleased : Hold::kMapped;
  const bool mapped =
      std::any_of(mappings->begin(), mappings->end(), [&](const Mapping& m) { return m.inode == inode; });
  return mapped ? Hold::kMapped : Hold::kReleased;
}

}  // namespace heapster::reader
