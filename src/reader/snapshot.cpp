// SPDX-License-Identifier: MIT
//
// The small questions that are asked of a snapshot by more than one of its readers.

#include "reader/snapshot.h"

#include <algorithm>

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

Coverage coverage(const Snapshot& snapshot) {
  Coverage result{"full", {}};
  for (const NoteCount& note : snapshot.notes) {
    if (note.effect != Effect::none && note.effect != Effect::partial) continue;
    result.reasons.push_back(note.text);
    if (note.effect == Effect::none) result.verdict = "none";
    if (note.effect == Effect::partial && result.verdict == "full") result.verdict = "partial";
  }
  return result;
}

std::string short_name(const Process& process) {
  const std::string& path = process.executable;
  if (path.empty()) return process.command.empty() ? "?" : process.command.front();
  return path.substr(path.find_last_of('/') + 1);
}

uint32_t pid_of(const Process& process) { return process.outer_pid != 0 ? process.outer_pid : process.identity.pid; }

// The image number counts too: an exec keeps pid and start time and begins from zero.
bool same_process(const Process& a, const Process& b) {
  return a.identity.pid == b.identity.pid && a.identity.start_ticks == b.identity.start_ticks &&
         a.identity.image == b.identity.image && a.identity.started_epoch == b.identity.started_epoch;
}

}  // namespace heapster::reader
