// SPDX-License-Identifier: MIT
//
// THE list of formats that `heapster export` writes. To add one: a row here, its render_x.cpp,
// one line in CMakeLists.txt.

#pragma once

#include <array>
#include <string>
#include <string_view>

#include "reader/names.h"
#include "reader/snapshot.h"
#include "report/call_stacks.h"

namespace heapster::report {

// A snapshot, and what its stacks are called, where a format tells of stacks.
struct Exported {
  const reader::Snapshot& snapshot;
  const reader::Names* names = nullptr;  // there where snapshot.stacks are
  Weight by = Weight::kLive;
};

std::string render_json(const reader::Snapshot& snapshot);
std::string render_csv(const reader::Snapshot& snapshot);
std::string render_openmetrics(const reader::Snapshot& snapshot);
std::string render_massif(const Exported& exported);
std::string render_pprof(const Exported& exported);
std::string render_heap(const Exported& exported);
std::string render_dhat(const Exported& exported);
std::string render_folded(const Exported& exported);
std::string render_speedscope(const Exported& exported);
std::string render_flamegraph(const Exported& exported);

// The words that the program was started with, on one line.
std::string command_line(const reader::Process& process);

// What a format makes of sampled stacks.
enum class StackUse { kNone, kWelcome, kNeeded, kWeighed };  // weighed: needed, with one number for each

struct Format {
  std::string_view name;
  std::string_view help;
  StackUse stacks;
  std::string (*render)(const Exported& exported);
};

constexpr bool needs_stacks(const Format& format) {
  return format.stacks == StackUse::kNeeded || format.stacks == StackUse::kWeighed;
}

template <std::string (*Render)(const reader::Snapshot&)>
std::string plain(const Exported& exported) {
  return Render(exported.snapshot);
}

inline constexpr std::array kFormats{
    Format{"json", "everything, as `show --json` prints it", StackUse::kNone, plain<render_json>},
    Format{"csv", "one line for each figure and each bucket", StackUse::kNone, plain<render_csv>},
    Format{"openmetrics", "OpenMetrics 1.0, which Prometheus reads as well", StackUse::kNone,
           plain<render_openmetrics>},
    Format{"massif", "the timeline, with trees where there are stacks, for ms_print and massif-visualizer",
           StackUse::kWelcome, render_massif},
    Format{"pprof", "stacks for `go tool pprof`, Pyroscope, Parca, speedscope", StackUse::kNeeded, render_pprof},
    Format{"heap", "gperftools' heap profile, for google-pprof", StackUse::kNeeded, render_heap},
    Format{"dhat", "DHAT's version 2, for valgrind's dh_view and the Firefox Profiler", StackUse::kNeeded, render_dhat},
    Format{"folded", "a stack a line, for flamegraph.pl, inferno and speedscope", StackUse::kWeighed, render_folded},
    Format{"speedscope", "stacks for speedscope", StackUse::kWeighed, render_speedscope},
    Format{"flamegraph", "a page for any browser, with zoom and search", StackUse::kWeighed, render_flamegraph},
};

}  // namespace heapster::report
