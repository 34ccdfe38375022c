// SPDX-License-Identifier: MIT

#include "report/suppressions.h"

#include <algorithm>

#include "report/pattern.h"

namespace heapster::report {

namespace {

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

reader::Result<Suppressions> Suppressions::parse(std::string_view text) {
  constexpr std::string_view kKind = "leak:";
  Suppressions result;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    if (!line.starts_with(kKind) || line.size() == kKind.size())
      return reader::Error{"line " + std::to_string(number) + " is not leak:PATTERN"};
    result.patterns_.emplace_back(line.substr(kKind.size()));
  }
  return result;
}

bool Suppressions::match(const Site& site) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
    return std::any_of(site.steps.begin(), site.steps.end(), [&](const Step& step) {
      return matches(pattern, step.function.str()) || matches(pattern, step.file.str()) ||
             matches(pattern, step.module.str());
    });
  });
}

}  // namespace heapster::report
