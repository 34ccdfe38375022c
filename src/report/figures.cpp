// SPDX-License-Identifier: MIT
//
// The expansion of counters.def. A stored histogram gives four figures, a word one, and the
// made-up ones bring their formula; what is in section `hidden` gives none.

#include "report/figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Histogram;
using reader::Number;

constexpr std::string_view kHidden = "hidden";

Value to_value(Number number) {
  const auto value = number.value();
  return value ? Value(*value) : Value();
}

// What only grows is a word without a sign; beyond 2^63 it is told as a real number. A difference of two such words may
// be less than nothing, but not by so much.
Value to_flow(Number number) {
  constexpr uint64_t kLeastNegative = ~uint64_t{0} - (uint64_t{1} << 62);
  if (number.known() && number.word() > INT64_MAX && number.word() < kLeastNegative)
    return static_cast<double>(number.word());
  return to_value(number);
}

Value to_value(const std::optional<double>& number) { return number ? Value(*number) : Value(); }

Value average(const Histogram& histogram) {
  const Number count = histogram.count();
  if (!count.known() || count.word() == 0) return {};
  return static_cast<double>(histogram.bytes().word()) / static_cast<double>(count.word());
}

Value to_gauge(Number number) { return to_value(number); }
Value to_gauge(const std::optional<double>& number) { return to_value(number); }

struct Names {
  std::string_view base, count, sum, average;
};

void add_stored(std::vector<Figure>& rows, const Names& names, std::string_view unit, std::string_view section,
                std::string_view by, std::string_view what, const Histogram& histogram) {
  if (section == kHidden) return;
  rows.push_back({names.count, unit, Kind::flow, section, std::string(what), to_flow(histogram.count())});
  rows.push_back({names.sum, "bytes", Kind::flow, section, fmt::format("{}, summed over {}", by, what),
                  to_flow(histogram.bytes())});
  rows.push_back({names.average, "bytes", Kind::ratio, section, fmt::format("{} divided by {}", names.sum, names.count),
                  average(histogram)});
}

void add_stored(std::vector<HistogramFigure>& rows, std::string_view name, std::string_view section,
                std::string_view by, std::string_view what, const Histogram& histogram) {
  if (section == kHidden) return;
  rows.push_back({name, section, fmt::format("{} by {}", what, by), Kind::flow, histogram});
}

}  // namespace

std::string_view name_of(Kind kind) {
  constexpr std::string_view kNames[] = {"flow", "gauge", "ratio"};
  return kNames[static_cast<size_t>(kind)];
}

std::vector<Figure> figures(const reader::Stats& s) {
  std::vector<Figure> rows;
#define NAMES(name) \
  { #name, #name "_count", #name "_sum", #name "_avg" }
#define HEAPSTER_SIZES(name, section, by, what) add_stored(rows, NAMES(name), "calls", #section, by, what, s.name);
#define HEAPSTER_REALLOCS(name, section, by, what) add_stored(rows, NAMES(name), "calls", #section, by, what, s.name);
#define HEAPSTER_COUNTER(name, unit, section, help) \
  rows.push_back({#name, #unit, Kind::flow, #section, help, to_flow(s.name)});
#define HEAPSTER_FIGURE(name, unit, kind, section, value, help) \
  rows.push_back({#name, #unit, Kind::kind, #section, help, to_##kind(value)});
#include "heapster/counters.def"
#undef NAMES
  return rows;
}

std::vector<HistogramFigure> histograms(const reader::Stats& s) {
  std::vector<HistogramFigure> rows;
#define HEAPSTER_SIZES(name, section, by, what) add_stored(rows, #name, #section, by, what, s.name);
#define HEAPSTER_REALLOCS(name, section, by, what) add_stored(rows, #name, #section, by, what, s.name);
#define HEAPSTER_HISTOGRAM(name, section, cells, help) rows.push_back({#name, #section, help, Kind::gauge, cells});
#include "heapster/counters.def"
  return rows;
}

Value figure_value(const std::vector<Figure>& rows, std::string_view name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Figure& row) { return row.name == name; });
  return found == rows.end() ? Value() : found->value;
}

std::string value_text(const Value& value, std::string_view unit) {
  if (std::holds_alternative<std::monostate>(value)) return std::string(kUnknown);
  const auto* real = std::get_if<double>(&value);
  if (unit == "seconds") return seconds_text(real ? *real : static_cast<double>(std::get<int64_t>(value)));
  constexpr double kMostPlain = 1e15;
  if (real && unit == "bytes" && *real >= kMostPlain) return real_bytes_text(*real);
  if (real) return fmt::format("{:.1f}{}", *real, unit == "bytes" ? " B" : "");
  return unit == "bytes" ? bytes_text(std::get<int64_t>(value)) : count_text(std::get<int64_t>(value));
}

std::string plain_text(const Value& value) {
  if (const auto* whole = std::get_if<int64_t>(&value)) return fmt::format("{}", *whole);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  return "";
}

Value difference(const Value& after, const Value& before) {
  const auto as_real = [](const Value& value) {
    const auto* whole = std::get_if<int64_t>(&value);
    return whole ? Value(static_cast<double>(*whole)) : value;
  };
  if (after.index() != before.index() && after.index() != 0 && before.index() != 0)
    return difference(as_real(after), as_real(before));
  if (after.index() != before.index()) return {};
  if (const auto* whole = std::get_if<int64_t>(&after))
    return static_cast<int64_t>(static_cast<uint64_t>(*whole) - static_cast<uint64_t>(std::get<int64_t>(before)));
  if (const auto* real = std::get_if<double>(&after)) return *real - std::get<double>(before);
  return {};
}

Value wasted(const reader::Arena& arena) {
  const auto bytes = arena.wasted();
  return bytes ? Value(*bytes) : Value();
}

}  // namespace heapster::report
