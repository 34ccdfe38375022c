// SPDX-License-Identifier: MIT
//
// THE list of formats that `heapster export` writes. To add one: a row here, its render_x.cpp,
// one line in CMakeLists.txt.

#pragma once

#include <array>
#include <string>
#include <string_view>

#include "reader/snapshot.h"

namespace heapster::report {

std::string render_json(const reader::Snapshot& snapshot);
std::string render_csv(const reader::Snapshot& snapshot);
std::string render_openmetrics(const reader::Snapshot& snapshot);
std::string render_massif(const reader::Snapshot& snapshot);

struct Format {
  std::string_view name;
  std::string_view help;
  std::string (*render)(const reader::Snapshot& snapshot);
};

inline constexpr std::array kFormats{
    Format{"json", "everything, as `show --json` prints it", render_json},
    Format{"csv", "one line for each figure and each bucket", render_csv},
    Format{"openmetrics", "OpenMetrics 1.0, which Prometheus reads as well", render_openmetrics},
    Format{"massif", "the timeline, for ms_print and massif-visualizer", render_massif},
};

}  // namespace heapster::report
