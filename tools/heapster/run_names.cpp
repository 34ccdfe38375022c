// SPDX-License-Identifier: MIT

#include "run_names.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <climits>
#include <cstring>
#include <fstream>

namespace heapster::tool {

namespace {

std::string host() {
  utsname name{};
  return uname(&name) == 0 ? name.nodename : "";
}

std::string meaning_of(char letter, const Facts& facts) {
  switch (letter) {
    case 'e':
      return facts.executable;
    case 'p':
      return std::to_string(facts.pid);
    case 't':
      return std::to_string(facts.time);
    case 'h':
      return host();
    case 'n':
      return std::to_string(facts.image);
    case '%':
      return "%";
    default:
      return std::string("%") + letter;
  }
}

// Where the ending (".heap") begins, or the end.
size_t ending_of(const std::string& path) {
  const size_t base = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
  const size_t dot = path.rfind('.');
  return dot == std::string::npos || dot <= base ? path.size() : dot;
}

}  // namespace

std::string expand(const std::string& pattern, const Facts& facts) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool letter = pattern[i] == '%' && i + 1 < pattern.size();
    path += letter ? meaning_of(pattern[++i], facts) : std::string(1, pattern[i]);
  }
  return path;
}

std::string numbered(const std::string& path, const std::string& number) {
  return std::string(path).insert(ending_of(path), "." + number);
}

std::string glob_of(const std::string& pattern, int64_t pid) {
  Facts facts;
  facts.pid = pid;
  std::string glob;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool letter = pattern[i] == '%' && i + 1 < pattern.size();
    if (letter && std::strchr("etn", pattern[i + 1]) != nullptr) {
      glob += "*";
      ++i;
      continue;
    }
    for (const char c : letter ? meaning_of(pattern[++i], facts) : std::string(1, pattern[i])) {
      if (std::strchr("*?[\\", c) != nullptr) glob += '\\';
      glob += c;
    }
  }
  return glob;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string executable_of(int64_t pid) {
  char path[PATH_MAX];
  const ssize_t size = readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), path, sizeof path);
  return size > 0 ? base_of(std::string(path, static_cast<size_t>(size))) : "";
}

// "Uid:" real, effective, saved, of the file system.
std::optional<uint32_t> user_of(int64_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    uint32_t user = 0;
    if (word == "Uid:" && status >> user >> user >> user >> user) return user;
  }
  return std::nullopt;
}

}  // namespace heapster::tool
