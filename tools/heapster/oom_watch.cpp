// SPDX-License-Identifier: MIT
//
// /proc/PID/cgroup has a line for each hierarchy, ID:CONTROLLERS:PATH; that of version 2 has no controllers. The root
// cgroup tells no count.

#include "oom_watch.h"

#include <fstream>
#include <optional>
#include <vector>

namespace heapster::tool {

namespace {

std::optional<uint64_t> count_in(const std::string& file) {
  std::ifstream lines(file);
  std::string key;
  uint64_t count = 0;
  while (lines >> key >> count)
    if (key == "oom_kill") return count;
  return std::nullopt;
}

std::vector<std::string> places_of(pid_t pid) {
  std::vector<std::string> places;
  std::ifstream lines("/proc/" + std::to_string(pid) + "/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const size_t controllers = line.find(':') + 1;
    const size_t colon = line.find(':', controllers);
    if (controllers == 0 || colon == std::string::npos) continue;
    const std::string names = "," + line.substr(controllers, colon - controllers) + ",";
    const std::string path = line.substr(colon + 1);
    if (path.find("/..") != std::string::npos) continue;  // outside of what we see
    if (names == ",,") {
      places.push_back("/sys/fs/cgroup" + path + "/memory.events");
      places.push_back("/sys/fs/cgroup/unified" + path + "/memory.events");
    } else if (names.find(",memory,") != std::string::npos) {
      places.push_back("/sys/fs/cgroup/memory" + path + "/memory.oom_control");
    }
  }
  places.push_back("/proc/vmstat");
  return places;
}

}  // namespace

void OomWatch::look() {
  if (const auto count = count_in(file_)) last_ = *count;
  for (const std::string& place : places_of(pid_)) {
    const auto count = count_in(place);
    if (!count) continue;
    if (place == file_ || (place == "/proc/vmstat" && !file_.empty())) return;
    before_ += last_ - first_;
    file_ = place;
    first_ = last_ = *count;
    return;
  }
}

}  // namespace heapster::tool
