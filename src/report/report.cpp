// SPDX-License-Identifier: MIT
//
// The report's story: how much was allocated and how fast, what lives, what reallocation cost,
// what failed, then the sizes and the course of things. Each line is one thing a person would ask;
// a number that the file does not hold is a dash, so that no line quietly means something else.

#include "report/report.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "reader/path.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Number;
using reader::Process;
using reader::Snapshot;
using reader::Stats;

constexpr size_t kCommandWidth = 100;

// Of what only grows: a word without a sign.
double real(Number number) { return number.known() ? static_cast<double>(number.word()) : 0; }

std::string counted(Number number) {
  const auto value = number.value();
  return value ? count_text(*value) : std::string(kUnknown);
}

std::string sized(Number number) {
  const auto value = number.value();
  return value ? bytes_text(*value) : std::string(kUnknown);
}

// The same of what only grows.
std::string sized_flow(Number number) {
  return number.known() && number.word() > INT64_MAX ? real_bytes_text(real(number)) : sized(number);
}

std::string share(Number part, Number whole, std::string_view of) {
  return part.known() && whole.known() && whole.word() > 0
             ? fmt::format("{} {}", share_text(real(part), real(whole)), of)
             : "";
}

// Rows of one snapshot; the rates need its duration.
class Story {
 public:
  explicit Story(const Snapshot& snapshot) : s_(snapshot.stats), process_(snapshot.process) {}

  Section allocations() const {
    const Number asked = s_.alloc.bytes();
    const Number usable = s_.usable.bytes();
    Section section{.title = "Allocations"};
    section.rows = {
        calls("allocations", s_.alloc.count(), ""), bytes("requested", asked, average(s_.alloc)),
        bytes("usable", usable, slack_text(usable, asked)), calls("frees", s_.dealloc.count(), ""),
        calls("temporary", s_.temporary_count, share(s_.temporary_count, s_.dealloc.count(), "of the frees"))};
    if (real(s_.free_null_count) > 0) section.rows.push_back(calls("free(NULL)", s_.free_null_count, ""));
    return section;
  }

  Section live() const {
    const Stats& s = s_;
    const auto error = s.use.max_error.value().value_or(0);
    const std::string sure = error == 0 ? "" : fmt::format("  ± {}", bytes_text(error));
    const std::string when = peak_time() + sure;
    Section section{.title = "Live memory"};
    section.rows = {{"peak", sized(s.use.max), "", when},
                    {live_label(process_.life), sized(s.use.curr), "",
                     counted(s.live().count()) + (s.live().count().value() == 1 ? " block" : " blocks")}};
    if (process_.limit != 0 || process_.limit_reached) section.rows.push_back(limit());
    if (process_.ending.max_rss_bytes > 0)
      section.rows.push_back({"maximum RSS", bytes_text(static_cast<int64_t>(process_.ending.max_rss_bytes)), "", ""});
    return section;
  }

  Section reallocations() const {
    const Stats& s = s_;
    const Number all = s.realloc_growth.count() + s.realloc_shrink.count() + s.realloc_same_count;
    Section section{.title = "Reallocations"};
    if (all.known() && all.word() == 0) {
      section.remark = "none";
      return section;
    }
    const Number copied = s.realloc_move.bytes() - s.realloc_remap_sum;
    section.rows = {
        calls("reallocations", all, ""),
        {"in place", counted(all - s.realloc_move.count()), "", share(all - s.realloc_move.count(), all, "of them")},
        {"unchanged", counted(s.realloc_same_count), "",
         share(s.realloc_same_count, all, "the new size fit the block")},
        {"moved", counted(s.realloc_move.count()), "", share(s.realloc_move.count(), all, "of them")},
        bytes("copied", copied, average(copied, s.realloc_move.count() - s.realloc_remap_count)),
        {"grown by", sized(s.realloc_growth.bytes()), "", "in " + counted(s.realloc_growth.count())},
        {"shrunk by", sized(s.realloc_shrink.bytes()), "", "in " + counted(s.realloc_shrink.count())}};
    if (real(s.realloc_remap_count) > 0)
      section.rows.push_back({"remapped", sized(s.realloc_remap_sum), "",
                              "in " + counted(s.realloc_remap_count) + ", pages moved without copying"});
    return section;
  }

  Section failures() const {
    Section section{.title = "Failures"};
    const auto tell = [&](const char* label, Number number, const char* what) {
      if (real(number) > 0) section.rows.push_back({label, counted(number), "", what});
    };
    tell("allocations", s_.alloc_fail_count, "returned NULL");
    tell("reallocations", s_.realloc_fail_count, "returned NULL; the old block stayed");
    tell("bad alignments", s_.alloc_invalid_count, "refused (EINVAL)");
    if (section.rows.empty()) section.remark = "none";
    if (!section.rows.empty()) section.mood = Mood::kBad;
    return section;
  }

 private:
  // The rise to the peak was seen at a step; nothing is known of the time since the step before.
  std::string peak_time() const {
    constexpr double kShort = 0.1;
    const double by = s_.use.max_time.value_or(0);
    const double since = s_.use.max_since.value_or(by);
    const bool narrow = by - since <= std::max(kShort, process_.duration / 64);
    return narrow ? "at " + seconds_text(by) : fmt::format("between {} and {}", seconds_text(since), seconds_text(by));
  }

  Row calls(const char* label, Number number, std::string remark) const {
    return {label, counted(number), rate(number, false), std::move(remark)};
  }

  Row bytes(const char* label, Number number, std::string remark) const {
    return {label, sized_flow(number), rate(number, true), std::move(remark)};
  }

  std::string rate(Number number, bool is_bytes) const {
    // The writer's clock goes in ticks of some milliseconds; of what lasted none, there is no rate;
    // nor is there one of a process whose end nobody saw.
    constexpr double kTick = 0.001;
    if (!number.known() || number.word() == 0 || !process_.end_seen || process_.duration < kTick) return "";
    return rate_text(real(number) / process_.duration, is_bytes);
  }

  Row limit() const {
    const std::string value = process_.limit != 0 ? bytes_text(static_cast<int64_t>(process_.limit)) : "none now";
    return {"limit", value, "",
            process_.limit_reached ? fmt::format("first reached at {}", seconds_text(*process_.limit_reached)) : ""};
  }

  static const char* live_label(reader::Life life) {
    if (life == reader::Life::kExited) return "live at exit";
    return life == reader::Life::kRunning ? "live now" : "live at its end";
  }

  static std::string slack_text(Number usable, Number asked) {
    const auto slack = (usable - asked).value();
    const std::string part = slack && *slack > 0 ? share(usable - asked, usable, "of usable") : "";
    return fmt::format("slack {}{}", sized(usable - asked), part.empty() ? "" : " (" + part + ")");
  }

  static std::string average(const reader::Histogram& histogram) {
    return average(histogram.bytes(), histogram.count());
  }
  static std::string average(Number sum, Number of) {
    const double count = real(of);
    return count > 0 ? fmt::format("average {}", bytes_text(whole(real(sum) / count))) : "";
  }

  const Stats& s_;
  const Process& process_;
};

std::string state_text(const Process& process) {
  const std::string time = seconds_text(process.duration);
  const int status = process.wait_status.value_or(0);
  switch (process.life) {
    case reader::Life::kRunning:
      return fmt::format("{} {}", process.ending.time == 0 ? "running for" : "running, at", time);
    case reader::Life::kExited:
      return status == 0 ? "exited after " + time : fmt::format("exited with {} after {}", WEXITSTATUS(status), time);
    case reader::Life::kReplaced:
      return "replaced by exec after " + time;
    case reader::Life::kDead:
      break;
  }
  if (process.wait_status)
    return fmt::format("ended by signal {} ({}) after {}", WTERMSIG(status), strsignal(WTERMSIG(status)), time);
  return process.duration > 0 ? "dead, last seen at " + time : "dead, not seen after its start";
}

bool empty(const Section& section) {
  return section.rows.empty() && section.bars.empty() && section.table.rows.empty() && section.chart.empty() &&
         section.lines.empty() && section.remark.empty();
}

}  // namespace

std::string pid_text(const Process& process) {
  const uint32_t inner = process.identity.pid;
  return process.outer_pid == 0 ? fmt::format("{}", inner) : fmt::format("{} (inside: {})", process.outer_pid, inner);
}

std::string command_text(const Process& process, size_t most) {
  std::string line;
  for (const std::string& argument : process.command) {
    const bool plain = !argument.empty() && argument.find_first_of(" \t\n'\"\\$&;|<>*?(){}") == std::string::npos;
    line += (line.empty() ? "" : " ") + (plain ? argument : "'" + argument + "'");
    if (line.size() > 4 * most) break;
  }
  return shortened(printable(line), most);
}

std::string allocator_text(const Process& process) {
  std::string name = reader::last_part(process.allocator);
  if (name == "libc.so.6") return "glibc";
  if (name.starts_with("lib")) name.erase(0, 3);
  return name.substr(0, name.find(".so"));
}

Report make_head(const Snapshot& snapshot) {
  const Process& process = snapshot.process;
  const reader::Coverage coverage = reader::coverage(snapshot);
  Report report;
  report.title = printable(reader::short_name(process));
  report.facts = {"pid " + pid_text(process), state_text(process)};
  if (!process.label.empty()) report.facts.push_back(printable(process.label));
  if (const std::string allocator = allocator_text(process); !allocator.empty())
    report.facts.push_back("over " + printable(allocator));
  report.verdict = fmt::format("coverage {}", coverage.verdict);
  report.mood = coverage.verdict == "full" ? Mood::kGood : Mood::kBad;
  report.lines = {command_text(process, kCommandWidth)};
  for (const std::string& reason : coverage.reasons) report.lines.push_back(printable(reason));
  return report;
}

Report make_report(const Snapshot& snapshot, Wanted wanted) {
  const Story story(snapshot);
  Report report = make_head(snapshot);
  report.sections = {story.allocations(),       story.live(),
                     story.reallocations(),     story.failures(),
                     sizes_section(snapshot),   live_sizes_section(snapshot),
                     timeline_section(snapshot)};
  if (wanted.timeline) report.sections.push_back(timeline_table(snapshot));
  if (wanted.threads) report.sections.push_back(threads_section(snapshot));
  report.sections.push_back(scopes_section(snapshot));
  report.sections.push_back(arenas_section(snapshot));
  report.sections.push_back(sampling_section(snapshot));
  report.sections.push_back(notes_section(snapshot));
  std::erase_if(report.sections, empty);
  return report;
}

}  // namespace heapster::report
