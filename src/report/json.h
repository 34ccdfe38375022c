// SPDX-License-Identifier: MIT
//
// The pieces of JSON that more than one command writes. Members keep the order of the table, so
// that two outputs compare line by line.

#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reader/snapshot.h"
#include "report/figures.h"

namespace heapster::report {

using Json = nlohmann::ordered_json;

Json to_json(const Value& value);
Json to_json(const reader::Process& process);
Json to_json(const reader::Stats& stats);
Json coverage_json(const reader::Snapshot& snapshot);

// When the table of what lived near the peak was copied, and at which level.
Json at_peak_json(const reader::Snapshot& snapshot);

// NAME_histogram of 64 counts, NAME_histogram_zero, NAME_histogram_bytes of 64 sums; each null
// where the file does not tell.
void put_histogram(Json& object, std::string_view name, const reader::Histogram& histogram);

// Indented and with a newline at its end. Bytes that are not UTF-8 become U+FFFD: an argument of
// a command line may be anything.
std::string json_text(const Json& json);
// The same on one line, for what only programs read.
std::string compact_json_text(const Json& json);

}  // namespace heapster::report
