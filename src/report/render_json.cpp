// SPDX-License-Identifier: MIT
//
// Schema "heapster/1". Names inside `stats` are those of counters.def. What a file does not tell
// is null, never 0 and never left out, so that a consumer may rely on each name.

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>

#include "layout/characters.h"
#include "reader/hex.h"
#include "report/formats.h"
#include "report/json.h"
#include "report/stacks_report.h"

namespace heapster::report {

namespace {

using reader::Histogram;
using reader::Snapshot;

Json ending_json(const Ending& ending) {
  if (ending.max_rss_bytes == 0) return nullptr;
  return {{"max_rss", ending.max_rss_bytes},
          {"minor_faults", ending.minor_faults},
          {"major_faults", ending.major_faults},
          {"user_time", static_cast<double>(ending.user_nanoseconds) / 1e9},
          {"system_time", static_cast<double>(ending.system_nanoseconds) / 1e9}};
}

Json threads_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const reader::Thread& thread : snapshot.threads)
    list.push_back({{"tid", thread.tid},
                    {"name", thread.name},
                    {"generation", thread.generation},
                    {"started", thread.started},
                    {"stats", to_json(thread.stats)}});
  return list;
}

Json scopes_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const reader::Scope& scope : snapshot.scopes)
    list.push_back({{"path", scope.path}, {"stats", to_json(scope.own)}, {"stats_with_inner", to_json(scope.whole)}});
  return list;
}

Json arenas_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const reader::Arena& arena : snapshot.arenas) {
    Json entry{{"name", arena.name}};
#define HEAPSTER_ARENA_FIGURE(name, ...) entry[#name] = arena.name;
#include "heapster/arenas.def"
    entry["wasted"] = to_json(wasted(arena));
    list.push_back(std::move(entry));
  }
  return list;
}

Json timeline_json(const reader::Timeline& timeline) {
  Json columns = Json::array();
  for (const reader::Column& column : timeline.columns) columns.push_back(column.name);
  return {{"columns", columns}, {"points", timeline.points}};
}

Json notes_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const reader::NoteCount& note : snapshot.notes)
    list.push_back({{"name", note.name}, {"effect", name_of(note.effect)}, {"count", note.count}, {"text", note.text}});
  return list;
}

Json unknown_json(const reader::Stats& stats) {
  Json list = Json::array();
  for (const reader::Unnamed& unnamed : stats.unnamed) {
    Json entry{{"name", unnamed.name}, {"unit", unnamed.unit}, {"sum", unnamed.sum.bytes}};
    if (unnamed.histogram) entry["count"] = unnamed.sum.count;
    list.push_back(entry);
  }
  return list;
}

template <class Member>
Json cells_json(const Histogram& histogram, Member member) {
  if (!histogram.known) return nullptr;
  Json list = Json::array();
  for (uint32_t bucket = 1; bucket < kBuckets; ++bucket)
    list.push_back(static_cast<int64_t>(histogram.cells[bucket].*member));
  return list;
}

}  // namespace

Json to_json(const Value& value) {
  if (const auto* whole = std::get_if<int64_t>(&value)) return *whole;
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return nullptr;
}

Json to_json(const reader::Process& process) {
  const Identity& identity = process.identity;
  const bool is_root = identity.root_pid == 0;
  return {
      {"pid", identity.pid},
      {"outer_pid", process.outer_pid != 0 ? Json(process.outer_pid) : Json(nullptr)},
      {"parent_pid", identity.parent_pid},
      {"uid", identity.uid},
      {"image", identity.image},
      {"state", name_of(process.life)},
      {"executable", process.executable},
      {"build_id", reader::hex(identity.build_id, identity.build_id_bytes)},
      {"command", process.command},
      {"label", process.label},
      {"allocator", process.allocator},
      {"start_time", static_cast<double>(identity.started_epoch) / 1e9},
      {"duration", process.duration},
      {"end_seen", process.end_seen},
      {"exit_status", process.wait_status && WIFEXITED(*process.wait_status) ? Json(WEXITSTATUS(*process.wait_status))
                                                                             : Json(nullptr)},
      {"signal",
       process.wait_status && WIFSIGNALED(*process.wait_status) ? Json(WTERMSIG(*process.wait_status)) : Json(nullptr)},
      {"limit", process.limit != 0 ? Json(process.limit) : Json(nullptr)},
      {"limit_reached", process.limit_reached ? Json(*process.limit_reached) : Json(nullptr)},
      {"start_ticks", identity.start_ticks},
      {"pid_namespace", identity.pid_namespace},
      {"boot_id", process.boot_id},
      {"root_pid", is_root ? identity.pid : identity.root_pid},
      {"root_ticks", is_root ? identity.start_ticks : identity.root_ticks},
      {"resources", ending_json(process.ending)},
      {"options", process.options},
      {"options_refused", process.refused}};
}

Json at_peak_json(const reader::Snapshot& snapshot) {
  return {{"use_curr", snapshot.at_peak.use_curr}, {"time", snapshot.at_peak.time}};
}

void put_histogram(Json& object, std::string_view name, const Histogram& histogram) {
  const std::string key = std::string(name) + "_histogram";
  object[key] = cells_json(histogram, &Cell::count);
  object[key + "_zero"] = histogram.known ? Json(static_cast<int64_t>(histogram.cells[0].count)) : Json(nullptr);
  object[key + "_bytes"] = cells_json(histogram, &Cell::bytes);
}

Json to_json(const reader::Stats& stats) {
  Json object = Json::object();
  for (const Figure& figure : figures(stats)) object[std::string(figure.name)] = to_json(figure.value);
  for (const HistogramFigure& row : histograms(stats)) put_histogram(object, row.name, row.histogram);
  return object;
}

// Characters that may not be shown and that JSON does not escape by itself; all have four digits at most.
std::string without_controls(const std::string& text) {
  std::string result;
  for (std::string_view left = text; !left.empty();) {
    const Character next = first_character(left.data(), left.size());
    if (next.code >= ' ' && steers(next.code)) {
      result += fmt::format("\\u{:04x}", next.code);
    } else {
      result += left.substr(0, std::max<size_t>(next.bytes, 1));
    }
    left.remove_prefix(std::max<size_t>(next.bytes, 1));
  }
  return result;
}

std::string json_text(const Json& json) {
  return without_controls(json.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

std::string compact_json_text(const Json& json) {
  return without_controls(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Json coverage_json(const Snapshot& snapshot) {
  const reader::Coverage coverage = reader::coverage(snapshot);
  return {{"verdict", coverage.verdict}, {"reasons", coverage.reasons}};
}

std::string render_json(const Snapshot& snapshot) {
  Json json{{"schema", "heapster/1"}, {"process", to_json(snapshot.process)}, {"stats", to_json(snapshot.stats)}};
  put_histogram(json["stats"], "live_at_peak", snapshot.at_peak.live);
  json["at_peak"] = at_peak_json(snapshot);
  json["threads"] = threads_json(snapshot);
  json["scopes"] = scopes_json(snapshot);
  json["arenas"] = arenas_json(snapshot);
  json["stacks"] = sampling_json(snapshot);
  json["timeline"] = timeline_json(snapshot.timeline);
  json["coverage"] = coverage_json(snapshot);
  json["notes"] = notes_json(snapshot);
  json["unknown"] = unknown_json(snapshot.stats);
  return json_text(json);
}

}  // namespace heapster::report
