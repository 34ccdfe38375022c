// SPDX-License-Identifier: MIT
//
// options.def as a table, for help and `explain`.

#pragma once

#include <array>
#include <string_view>

namespace heapster::tool {

struct VariableInfo {
  std::string_view variable;
  std::string_view type;
  std::string_view preset;  // its value where it is unset
  std::string_view help;
};

inline constexpr auto kVariables = std::to_array<VariableInfo>({
#define HEAPSTER_OPTION(field, variable, type, preset, help) {#variable, #type, preset, help},
#include "layout/options.def"
});

}  // namespace heapster::tool
