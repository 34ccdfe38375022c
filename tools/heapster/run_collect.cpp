// SPDX-License-Identifier: MIT

#include "run_collect.h"

#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "reader/dump.h"
#include "reader/load.h"
#include "report/units.h"

namespace heapster::tool {

namespace {

// A glob that matches every name a pattern can become; its letters are not ours to expand, since
// only the process knew its executable, time and image.
std::string glob_of(const std::string& pattern) {
  std::string glob;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' && i + 1 < pattern.size()) {
      const char letter = pattern[++i];
      glob += letter == '%' ? "%" : std::strchr("epthn", letter) != nullptr ? "*" : std::string("%") + letter;
    } else {
      if (std::strchr("*?[\\", pattern[i]) != nullptr) glob += '\\';
      glob += pattern[i];
    }
  }
  return glob;
}

// "a.heap" is also written as "a.NUMBER.heap", for a later image or another process.
std::string numbered(const std::string& glob) {
  const size_t base = glob.rfind('/') == std::string::npos ? 0 : glob.rfind('/') + 1;
  const size_t dot = glob.rfind('.');
  const size_t at = dot == std::string::npos || dot <= base ? glob.size() : dot;
  return std::string(glob).insert(at, ".*");
}

std::vector<std::string> files_of(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found{};
  glob(glob_of(pattern).c_str(), 0, nullptr, &found);
  glob(numbered(glob_of(pattern)).c_str(), GLOB_APPEND, nullptr, &found);
  for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

std::string base_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

int64_t value_of(reader::Number number) { return number.value().value_or(0); }

// Between file systems a rename is a copy.
bool move_file(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return true;
  return errno == EXDEV && reader::dump(from, to) && unlink(from.c_str()) == 0;
}

}  // namespace

bool Collector::is_child(const reader::Process& process) const {
  return process.identity.pid == static_cast<uint32_t>(child_.pid) &&
         process.identity.start_ticks == child_.start_ticks;
}

bool Collector::is_ours(const reader::Process& process) const {
  return is_child(process) || (process.identity.root_pid == static_cast<uint32_t>(child_.pid) &&
                               process.identity.root_ticks == child_.start_ticks);
}

void Collector::drain() { take_left_snapshots(); }

void Collector::finish() {
  take_ended_segments();
  take_left_snapshots();
  if (places_.keep()) take_written_snapshots();
  std::sort(images_.begin(), images_.end(), [](const reader::Found& a, const reader::Found& b) {
    return a.snapshot.process.identity.image < b.snapshot.process.identity.image;
  });
}

// Killed processes leave their segments; so do all where no snapshot was wanted at exit.
void Collector::take_ended_segments() {
  const auto listing = reader::list(places_.run_directory);
  if (!listing) return troubles_.push_back(listing.error().text);
  for (reader::Found found : listing->found) {
    const reader::Process& process = found.snapshot.process;
    if (!is_ours(process)) continue;
    if (process.life == reader::Life::kRunning) {
      ++still_running_;
      continue;
    }
    settle(found);
    take(found);
  }
}

// Gives a segment's contents the name that its process would have given them.
void Collector::settle(reader::Found& found) {
  const std::string to = found.snapshot.process.snapshot_path;
  if (!places_.keep()) {
    unlink(found.path.c_str());
  } else if (!to.empty()) {
    if (const auto done = reader::dump(found.path, to); !done) {
      troubles_.push_back(fmt::format("{} (kept: {})", done.error().text, found.path));
      return;
    }
    unlink(found.path.c_str());
    found.path = to;
  }
}

void Collector::take_left_snapshots() {
  const auto listing = reader::list_snapshots(places_.run_directory);
  if (!listing) return;
  for (const reader::Found& found : listing->found) {
    if (!is_ours(found.snapshot.process)) continue;
    take(found);
    if (!is_child(found.snapshot.process)) move_to_descendants(found);
  }
}

// A snapshot that was taken on the signal says that its process was running: it is not the end.
void Collector::take_written_snapshots() {
  for (const std::string& path : files_of(places_.pattern)) {
    const auto snapshot = reader::load(path);
    if (!snapshot || !is_ours(snapshot->process) || snapshot->process.life == reader::Life::kRunning) continue;
    const bool known = std::any_of(images_.begin(), images_.end(), [&](const reader::Found& image) {
      return reader::same_process(image.snapshot.process, snapshot->process);
    });
    if (!known) take({path, *snapshot});
  }
}

void Collector::take(const reader::Found& found) {
  if (is_child(found.snapshot.process)) {
    images_.push_back(found);
  } else {
    count(found.snapshot);
  }
}

void Collector::move_to_descendants(const reader::Found& found) {
  if (!places_.keep()) {
    unlink(found.path.c_str());
    return;
  }
  mkdir(places_.descendants.c_str(), 0777);
  if (!move_file(found.path, places_.descendants + "/" + base_of(found.path))) {
    troubles_.push_back(
        fmt::format("{}: cannot be moved to {}: {}", found.path, places_.descendants, std::strerror(errno)));
  }
}

void Collector::count(const reader::Snapshot& snapshot) {
  const std::string name = reader::short_name(snapshot.process);
  auto family = std::find_if(families_.begin(), families_.end(), [&](const Family& f) { return f.executable == name; });
  if (family == families_.end()) family = families_.insert(family, Family{.executable = name});
  ++descendants_;
  ++family->processes;
  family->allocations += value_of(snapshot.stats.alloc.count());
  family->bytes += value_of(snapshot.stats.alloc.bytes());
  family->highest_peak = std::max(family->highest_peak, value_of(snapshot.stats.use.max));
  family->live += value_of(snapshot.stats.use.curr);
}

report::Table family_table(const std::vector<Family>& families) {
  std::vector<Family> sorted = families;
  std::sort(sorted.begin(), sorted.end(), [](const Family& a, const Family& b) { return a.bytes > b.bytes; });
  report::Table table{{"executable", "processes", "allocations", "requested", "highest peak", "live at the end"}, {}};
  for (const Family& family : sorted) {
    table.rows.push_back({report::printable(family.executable), report::count_text(family.processes),
                          report::count_text(family.allocations), report::bytes_text(family.bytes),
                          report::bytes_text(family.highest_peak), report::bytes_text(family.live)});
  }
  return table;
}

}  // namespace heapster::tool
