// SPDX-License-Identifier: MIT
//
// counters.def as rows: every figure that a set of numbers has, with its name, meaning and value.
// The formats for machines, diff, budgets and `explain` walk these rows; none of them knows a
// counter by name.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "reader/snapshot.h"

namespace heapster::report {

// Nothing where the file does not tell, or where an average has nothing to divide by.
using Value = std::variant<std::monostate, int64_t, double>;

enum class Kind {
  flow,   // grows only; diff subtracts it
  gauge,  // a state; diff keeps it and tells its change
  ratio,  // made from flows; diff makes it from theirs
};
std::string_view name_of(Kind kind);

struct Figure {
  std::string_view name;
  std::string_view unit;  // calls, blocks, bytes, seconds
  Kind kind;
  std::string_view section;
  std::string help;
  Value value;
};

struct HistogramFigure {
  std::string_view name;  // without _histogram
  std::string_view section;
  std::string help;
  Kind kind;
  reader::Histogram histogram;
};

std::vector<Figure> figures(const reader::Stats& s);
std::vector<HistogramFigure> histograms(const reader::Stats& s);

// The value of the figure of that name; nothing where there is none.
Value figure_value(const std::vector<Figure>& rows, std::string_view name);

// As text with its unit, and for machines: bare digits, empty where unknown.
std::string value_text(const Value& value, std::string_view unit);
std::string plain_text(const Value& value);

Value difference(const Value& after, const Value& before);

// What an arena wastes, where that is known.
Value wasted(const reader::Arena& arena);

}  // namespace heapster::report
