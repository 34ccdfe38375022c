// SPDX-License-Identifier: MIT
//
// The small questions that are asked of a snapshot by more than one of its readers.

#include "reader/snapshot.h"

#include <algorithm>

#include "reader/path.h"

namespace heapster::reader {

std::string_view name_of(Life life) {
  switch (life) {
    case Life::kRunning:
      return "running";
    case Life::kExited:
      return "exited";
    case Life::kReplaced:
      return "replaced";
    case Life::kDead:
      break;
  }
  return "dead";
}

std::string_view name_of(Effect effect) {
  switch (effect) {
    case Effect::none:
      return "none";
    case Effect::partial:
      return "partial";
    case Effect::trouble:
      return "trouble";
    case Effect::fact:
      break;
  }
  return "fact";
}

std::optional<size_t> Timeline::column(std::string_view name) const {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& c) { return c.name == name; });
  if (found == columns.end()) return std::nullopt;
  return static_cast<size_t>(found - columns.begin());
}

namespace {

bool is_negative(Number number) { return number.value().value_or(0) < 0; }

// Of a process that runs, the parts are read one after the other, so that cells may be short of a block for a moment;
// of one that ended while several threads ran, by a few of many.
bool frees_what_it_did_not_see(const Snapshot& snapshot) {
  const Stats& stats = snapshot.stats;
  const Histogram live = stats.live();
  if (is_negative(stats.use.curr) || is_negative(live.count()) || is_negative(live.bytes())) return true;
  if (!live.known || snapshot.process.life == Life::kRunning) return false;
  for (size_t i = 0; i < kBuckets; ++i) {
    const auto count = static_cast<int64_t>(live.cells[i].count);
    if (count >= 0) continue;
    if (snapshot.process.slots_used <= 1 || 0 - static_cast<uint64_t>(count) > stats.dealloc.cells[i].count / 16)
      return true;
  }
  return false;
}

}  // namespace

Coverage coverage(const Snapshot& snapshot) {
  Coverage result{"full", {}};
  for (const NoteCount& note : snapshot.notes) {
    if (note.effect != Effect::none && note.effect != Effect::partial) continue;
    result.reasons.push_back(note.text);
    if (note.effect == Effect::none) result.verdict = "none";
    if (note.effect == Effect::partial && result.verdict == "full") result.verdict = "partial";
  }
  if (result.verdict == "full" && frees_what_it_did_not_see(snapshot))
    result = {"partial", {"more was freed than was seen to be allocated: what is live is too low, or negative"}};
  return result;
}

std::string short_name(const Process& process) {
  const std::string& path = process.executable;
  if (path.empty()) return process.command.empty() ? "?" : process.command.front();
  return last_part(path);
}

uint32_t pid_of(const Process& process) { return process.outer_pid != 0 ? process.outer_pid : process.identity.pid; }

// The image number counts too: an exec keeps pid and start time and begins from zero.
bool same_process(const Process& a, const Process& b) {
  return a.identity.pid == b.identity.pid && a.identity.start_ticks == b.identity.start_ticks &&
         a.identity.image == b.identity.image && a.identity.started_epoch == b.identity.started_epoch;
}

}  // namespace heapster::reader
