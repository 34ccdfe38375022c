// SPDX-License-Identifier: MIT
//
// Reading /proc. All of its files are produced while they are read and may end anywhere, as the
// process may; whatever does not parse counts as absent.

#include "reader/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <ctime>
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

// "7f00-7f01 rw-s 00000000 00:1a 5  /dev/shm/…", where it is of a shared file.
std::optional<SharedFile> parse_shared_file(std::string_view line) {
  const std::string_view rights = word(line, 1);
  if (rights.size() != 4 || rights[3] != 's') return std::nullopt;
  const std::string_view device = word(line, 3);
  const size_t colon = std::min(device.find(':'), device.size());
  const auto major = hexadecimal(device.substr(0, colon));
  const auto minor = hexadecimal(device.substr(std::min(colon + 1, device.size())));
  const auto offset = hexadecimal(word(line, 2));
  const auto inode = number(word(line, 4));
  const size_t path = line.find('/');
  if (!major || !minor || !offset || !inode || path == std::string_view::npos) return std::nullopt;
  return SharedFile{*offset, *inode, static_cast<uint32_t>(*major), static_cast<uint32_t>(*minor),
                    std::string(line.substr(path))};
}

// Since Linux 6.11 the kernel looks for mappings of a kind itself, which takes a tenth of the time; <linux/fs.h> may
// be older than that.
struct MapQuery {
  uint64_t size, flags, address;                             // in
  uint64_t start, end, vma_flags, page_size, offset, inode;  // out
  uint32_t major, minor, name_size, build_id_size;           // out; sizes in, too
  uint64_t name_address, build_id_address;                   // in
};
constexpr unsigned long kMapQuery = _IOWR('f', 17, MapQuery);
constexpr uint64_t kSharedFileFromHereOn = 0x08 | 0x10 | 0x20;

std::optional<std::vector<SharedFile>> query_shared_files(int maps) {
  std::vector<SharedFile> files;
  char name[PATH_MAX];
  for (uint64_t address = 0;;) {
    MapQuery query{};
    query.size = sizeof query;
    query.flags = kSharedFileFromHereOn;
    query.address = address;
    query.name_size = sizeof name;
    query.name_address = reinterpret_cast<uintptr_t>(name);
    if (ioctl(maps, kMapQuery, &query) != 0) {
      if (errno == ENOENT || errno == ESRCH) return files;  // no further one; no memory at all
      return std::nullopt;
    }
    files.push_back({query.offset, query.inode, query.major, query.minor, query.name_size > 1 ? name : ""});
    if (query.end <= address) return files;
    address = query.end;
  }
}

std::optional<std::vector<SharedFile>> shared_files_of_thread(uint32_t thread) {
  const std::string path = of_process(thread, "maps");
  const int maps = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (maps < 0) return errno == ESRCH ? std::optional(std::vector<SharedFile>()) : std::nullopt;
  auto files = query_shared_files(maps);
  close(maps);
  if (files) return files;
  const auto text = read_all(path);
  return text ? std::optional(parse_shared_files(*text)) : std::nullopt;
}

struct Stat {
  uint64_t start_ticks;
  bool ended;  // a zombie
};

std::optional<Stat> stat_of(const std::string& path) {
  const std::string text = first_line(path);
  const size_t name_end = text.rfind(')');  // the name before it may hold spaces and parentheses
  if (name_end == std::string::npos || name_end + 2 > text.size()) return std::nullopt;
  const std::string_view after = std::string_view(text).substr(name_end + 2);
  const auto ticks = number(word(after, 22 - 3));  // field 3 is the first after the name
  if (!ticks) return std::nullopt;
  return Stat{*ticks, after.starts_with('Z') || after.starts_with('X')};
}

// Of a process whose first thread has ended.
std::optional<uint32_t> living_thread(uint32_t pid) {
  const std::string tasks = of_process(pid, "task");
  DIR* directory = opendir(tasks.c_str());
  if (!directory) return std::nullopt;
  std::optional<uint32_t> found;
  while (const dirent* entry = found ? nullptr : readdir(directory)) {
    const auto thread = number(entry->d_name);
    if (!thread || *thread == pid) continue;
    const auto stat = stat_of(tasks + "/" + entry->d_name + "/stat");
    if (stat && !stat->ended) found = static_cast<uint32_t>(*thread);
  }
  closedir(directory);
  return found;
}

// The inode that /proc/PROCESS/ns/NAME leads to; 0 where we may not look.
uint64_t namespace_of(const std::string& process, const char* name) {
  struct stat status {};
  return stat(("/proc/" + process + "/ns/" + name).c_str(), &status) == 0 ? status.st_ino : 0;
}

uint64_t nanoseconds_now(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
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

}  // namespace

std::optional<Pulse> pulse_of(uint32_t pid) {
  const auto stat = stat_of(of_process(pid, "stat"));
  if (!stat) return std::nullopt;
  if (!stat->ended) return Pulse{stat->start_ticks, pid};
  const auto thread = living_thread(pid);
  return thread ? std::optional(Pulse{stat->start_ticks, *thread}) : std::nullopt;
}

std::optional<uint64_t> start_ticks_of(uint32_t pid) {
  const auto pulse = pulse_of(pid);
  return pulse ? std::optional(pulse->start_ticks) : std::nullopt;
}

std::vector<SharedFile> parse_shared_files(std::string_view maps) {
  std::vector<SharedFile> files;
  while (!maps.empty()) {
    const std::string_view line = maps.substr(0, maps.find('\n'));
    if (auto file = parse_shared_file(line)) files.push_back(std::move(*file));
    maps.remove_prefix(std::min(line.size() + 1, maps.size()));
  }
  return files;
}

std::optional<std::vector<SharedFile>> shared_files_of(uint32_t pid) {
  auto files = shared_files_of_thread(pid);
  if (!files || !files->empty()) return files;
  const auto pulse = pulse_of(pid);
  return pulse && pulse->thread != pid ? shared_files_of_thread(pulse->thread) : files;
}

bool has_loaded(uint32_t pid, const std::string& library) {
  const auto pulse = pulse_of(pid);
  const std::string maps = pulse ? read_all(of_process(pulse->thread, "maps")).value_or("") : "";
  return maps.find("/" + library + "\n") != std::string::npos;
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
  static const uint64_t ours = namespace_of("self", "pid");
  return ours != 0 && ours == pid_namespace;
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

uint64_t nanoseconds_since_start(uint32_t pid, const Identity& identity) {
  static const uint64_t ours = namespace_of("self", "time");
  const uint64_t its = namespace_of(std::to_string(pid), "time");
  const bool same_clock = its == 0 || its == ours;
  const uint64_t now = nanoseconds_now(same_clock ? CLOCK_MONOTONIC : CLOCK_REALTIME);
  const uint64_t start = same_clock ? identity.started_monotonic : identity.started_epoch;
  return now > start ? now - start : 0;
}

bool gained_rights(uint32_t pid, const Identity& identity) {
  if (identity.uid == 0 || !in_our_namespace(identity.pid_namespace)) return false;
  const std::vector<uint64_t> users = status_numbers(pid, "Uid");
  const std::vector<uint64_t> groups = status_numbers(pid, "Gid");
  return users.size() == 4 && groups.size() == 4 && (users[1] != identity.uid || groups[0] != groups[1]);
}

}  // namespace heapster::reader
