// SPDX-License-Identifier: MIT
//
// One file for each build, or symbol table of one, of lines
//   ADDRESS TAB function TAB file TAB line TAB function TAB file TAB line …
// below a first line with the version of this format. A file is replaced as a whole, so that two of us at once lose
// nothing but work; the oldest go when all of them take more than their due.

#include "symbols/cache.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace heapster::symbols {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFirstLine = "heapster symbols 1";
constexpr const char* kEnding = ".symbols";
constexpr uintmax_t kMostFileBytes = 32u << 20;
constexpr uintmax_t kMostBytes = 256u << 20;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> parts(1);
  for (const char c : line) {
    if (c == '\t') parts.emplace_back();
    if (c != '\t') parts.back() += c;
  }
  return parts;
}

template <class Number>
bool parse(const std::string& text, Number& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, '?');
  return text;
}

bool is_name(const std::string& build_id) {
  return build_id.size() >= 8 && build_id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

bool take_line(const std::string& line, std::map<uint64_t, reader::Locations>& entries) {
  const std::vector<std::string> parts = split(line);
  uint64_t address = 0;
  if (parts.size() % 3 != 1 || !parse(parts[0], address, 16)) return false;
  reader::Locations locations;
  for (size_t i = 1; i < parts.size(); i += 3) {
    reader::Location location{parts[i], parts[i + 1]};
    if (location.function.empty() || !parse(parts[i + 2], location.line, 10)) return false;
    locations.push_back(std::move(location));
  }
  entries[address] = std::move(locations);
  return true;
}

std::string line_of(uint64_t address, const reader::Locations& locations) {
  char digits[17] = {};
  std::to_chars(digits, digits + 16, address, 16);
  std::string line = digits;
  for (const reader::Location& location : locations)
    for (const std::string& part : {plain(location.function), plain(location.file), std::to_string(location.line)})
      line.append("\t").append(part);
  return line;
}

std::string default_cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/heapster";
  const char* home = std::getenv("HOME");
  return home != nullptr && home[0] == '/' ? std::string(home) + "/.cache/heapster" : "";
}

std::string Cache::path_of(const std::string& build_id, int table) const {
  const std::string from = table == 0 ? std::string() : std::to_string(table).insert(0, 1, '-');
  return directory_ + "/" + build_id + from + kEnding;
}

Cache::Entries Cache::load(const std::string& build_id, int table) const {
  std::error_code error;
  if (directory_.empty() || !is_name(build_id)) return {};
  const std::string path = path_of(build_id, table);
  const uintmax_t bytes = fs::file_size(path, error);
  if (error || bytes > kMostFileBytes) return {};
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line) || line != kFirstLine) return {};
  Entries entries;
  while (std::getline(file, line))
    if (!take_line(line, entries)) return {};
  fs::last_write_time(path, fs::file_time_type::clock::now(), error);  // of use: the last to go
  return entries;
}

void Cache::store(const std::string& build_id, const Entries& entries, int table) const {
  std::error_code error;
  if (directory_.empty() || !is_name(build_id)) return;
  if (fs::create_directories(directory_, error)) fs::permissions(directory_, fs::perms::owner_all, error);
  const std::string path = path_of(build_id, table);
  const std::string draft = path + "." + std::to_string(getpid());
  {
    std::ofstream file(draft);
    file << kFirstLine << "\n";
    for (const auto& [address, locations] : entries) {
      file << line_of(address, locations) << "\n";
      if (file.tellp() > static_cast<std::streamoff>(kMostFileBytes - 64 * 1024)) break;
    }
    file.close();
    if (file) fs::rename(draft, path, error);
    if (!file || error) fs::remove(draft, error);
  }
  make_room();
}

void Cache::make_room() const {
  struct Kept {
    fs::file_time_type time;
    uintmax_t bytes;
    fs::path path;
  };
  std::error_code error;
  std::vector<Kept> files;
  uintmax_t sum = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    if (entry.path().extension() != kEnding) continue;
    files.push_back({entry.last_write_time(error), entry.file_size(error), entry.path()});
    if (!error) sum += files.back().bytes;
  }
  std::sort(files.begin(), files.end(), [](const Kept& a, const Kept& b) { return a.time < b.time; });
  for (size_t i = 0; i < files.size() && sum > kMostBytes; ++i) {
    fs::remove(files[i].path, error);
    sum -= std::min(sum, files[i].bytes);
  }
}

}  // namespace heapster::symbols
