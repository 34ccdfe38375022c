// SPDX-License-Identifier: MIT
//
// The facts about this process come from /proc by a second way (no reader code), so that a fault
// in the reader's parsing shows.

#include "living.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace heapster::test {

namespace {

uint64_t own_start_ticks() {
  std::ifstream file("/proc/self/stat");
  std::string word;
  std::stringstream rest;
  rest << file.rdbuf();
  const std::string text = rest.str();
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  for (int field = 3; field <= 22; ++field) fields >> word;
  return std::stoull(word);
}

uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

RunDirectory::RunDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "heapster-test-XXXXXX").string();
  path_ = mkdtemp(name.data());
}

RunDirectory::~RunDirectory() { std::filesystem::remove_all(path_); }

std::string RunDirectory::write(const std::string& name, const std::string& bytes) const {
  std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

Segment own_segment() {
  Segment segment;
  Header& header = segment.header();
  header.state = static_cast<uint32_t>(State::kRunning);
  header.ending.time = 0;
  header.identity.pid = static_cast<uint32_t>(getpid());
  header.identity.start_ticks = own_start_ticks();
  header.identity.pid_namespace = std::stoull(std::filesystem::read_symlink("/proc/self/ns/pid").string().substr(5));
  header.identity.started_epoch = nanoseconds(CLOCK_REALTIME) - 3'000'000'000;
  header.identity.started_monotonic = nanoseconds(CLOCK_MONOTONIC) - 3'000'000'000;
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  segment.add_text(Text::k_boot_id, boot);
  count_malloc(segment.add_slot(static_cast<uint32_t>(getpid()), "earlier name"), 64, 72);
  return segment;
}

std::string segment_name(Segment& segment) {
  const Identity& identity = segment.header().identity;
  return std::to_string(identity.pid_namespace) + "-" + std::to_string(identity.pid) + "-" +
         std::to_string(identity.start_ticks);
}

Mapping::Mapping(const std::string& path) : bytes_(std::filesystem::file_size(path)) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  memory_ = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file, 0);
  close(file);
}

Mapping::~Mapping() { munmap(memory_, bytes_); }

}  // namespace heapster::test
