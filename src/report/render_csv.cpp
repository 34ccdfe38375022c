// SPDX-License-Identifier: MIT
//
// One long table: name,unit,kind,low,high,value. A figure has neither low nor high; a bucket of a
// histogram has both (inclusive, bytes) and comes twice, as NAME_histogram and
// NAME_histogram_bytes. Long tables are what spreadsheets, awk and data frames take best.

#include <fmt/format.h>

#include <iterator>

#include "layout/bucket.h"
#include "report/figures.h"
#include "report/formats.h"
#include "report/units.h"

namespace heapster::report {

namespace {

// A spreadsheet would calculate what begins like a formula: an apostrophe makes it text.
std::string quoted(std::string_view unsafe) {
  std::string text = printable(unsafe);
  const bool formula = unsafe.find_first_of("=+-@\t\r") == 0;
  if (formula) text.insert(0, 1, '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + '"';
}

void put_buckets(std::string& out, const HistogramFigure& row) {
  if (!row.histogram.known) return;
  for (uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    const Cell& cell = row.histogram.cells[bucket];
    const std::string range = fmt::format("{},{},{}", name_of(row.kind), bucket_low(bucket), bucket_high(bucket));
    const auto text = [&](uint64_t word) {  // what only grows has no sign
      return row.kind == Kind::flow ? fmt::format("{}", word) : fmt::format("{}", static_cast<int64_t>(word));
    };
    fmt::format_to(std::back_inserter(out), "{0}_histogram,calls,{1},{2}\n{0}_histogram_bytes,bytes,{1},{3}\n",
                   row.name, range, text(cell.count), text(cell.bytes));
  }
}

}  // namespace

std::string render_csv(const reader::Snapshot& snapshot) {
  std::string out = "name,unit,kind,low,high,value\n";
  const auto line = std::back_inserter(out);
  for (const Figure& row : figures(snapshot.stats))
    fmt::format_to(line, "{},{},{},,,{}\n", row.name, row.unit, name_of(row.kind), plain_text(row.value));
  for (const HistogramFigure& row : histograms(snapshot.stats)) put_buckets(out, row);
  put_buckets(out, {"live_at_peak", "live", "", Kind::gauge, snapshot.at_peak.live});
  fmt::format_to(line, "at_peak_use_curr,bytes,gauge,,,{}\nat_peak_time,seconds,gauge,,,{}\n",
                 snapshot.at_peak.use_curr, snapshot.at_peak.time);
  for (const reader::Unnamed& row : snapshot.stats.unnamed)
    fmt::format_to(line, "{},{},unknown,,,{}\n", quoted(row.name), quoted(row.unit), row.sum.bytes);
  return out;
}

}  // namespace heapster::report
