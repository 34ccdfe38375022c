// SPDX-License-Identifier: MIT
//
// Words for numbers. Three figures are enough to judge by, and a column of them stays narrow.

#include "report/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "layout/characters.h"
#include "layout/sizes.h"

namespace heapster::report {

namespace {

// Three significant figures: 1.23, 12.3, 123.
std::string figures3(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

std::optional<double> parse_number(std::string_view text) {
  std::string digits(text);
  std::erase(digits, '_');
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  const bool sound = error == std::errc() && stop == end && value >= 0 && value < 9.2e18;
  return sound ? std::optional(value) : std::nullopt;
}

}  // namespace

int64_t whole(double value) {
  constexpr double kEnd = 9223372036854775808.0;  // 2^63, the first that does not fit
  if (!(value > -kEnd)) return INT64_MIN;
  return value < kEnd ? static_cast<int64_t>(std::round(value)) : INT64_MAX;
}

std::string count_text(int64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') text += ',';
    text += digits[i];
  }
  return text;
}

std::string bytes_text(int64_t bytes) {
  if (bytes > -1024 && bytes < 1024) return fmt::format("{} B", bytes);
  return real_bytes_text(static_cast<double>(bytes));
}

std::string real_bytes_text(double value) {
  constexpr std::array<std::string_view, 7> kNames{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  size_t unit = 0;
  for (; std::fabs(value) >= 1023.5 && unit + 1 < kNames.size(); ++unit) value /= 1024;
  return fmt::format("{} {}", figures3(value), kNames[unit]);
}

std::string seconds_text(double seconds) {
  if (seconds == 0) return "0 s";
  if (std::fabs(seconds) < 0.9995) return figures3(seconds * 1e3) + " ms";
  if (std::fabs(seconds) < 120) return figures3(seconds) + " s";
  if (std::fabs(seconds) >= 9e15) return "ages";
  const auto minutes = static_cast<int64_t>(seconds) / 60;
  if (minutes < 120) return fmt::format("{} min {:02} s", minutes, static_cast<int64_t>(seconds) % 60);
  if (minutes < 48 * 60) return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
  return fmt::format("{} d {:02} h", minutes / 1440, minutes / 60 % 24);
}

std::string brief_text(double seconds) {
  if (seconds < 0.9995e-6) return figures3(seconds * 1e9) + " ns";
  return seconds < 0.9995e-3 ? figures3(seconds * 1e6) + " µs" : seconds_text(seconds);
}

std::string share_text(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : std::string(kUnknown);
}

std::string rate_text(double per_second, bool is_bytes) {
  constexpr double kMost = 1e24;  // more is no rate of anything
  if (!std::isfinite(per_second) || std::fabs(per_second) > kMost) return std::string(kUnknown);
  if (is_bytes && std::fabs(per_second) >= 1024) return real_bytes_text(per_second) + "/s";
  if (is_bytes) return bytes_text(whole(per_second)) + "/s";
  if (std::fabs(per_second) < 9995) return count_text(std::llround(per_second)) + "/s";
  constexpr std::array<std::string_view, 4> kNames{"k", "M", "G", "T"};
  size_t unit = 0;
  for (per_second /= 1000; std::fabs(per_second) >= 999.5 && unit + 1 < kNames.size(); ++unit) per_second /= 1000;
  return fmt::format("{} {}/s", figures3(per_second), kNames[unit]);
}

std::optional<int64_t> parse_count(std::string_view text) {
  const std::optional<double> value = parse_number(text);
  if (!value || *value != std::floor(*value)) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::optional<int64_t> parse_size(std::string_view text) {
  uint64_t size = 0;
  return read_size(text, size) ? std::optional(static_cast<int64_t>(size)) : std::nullopt;
}

std::string invalid_size_text(std::string_view text) {
  return fmt::format("invalid size '{}': expected e.g. 512K, 64M, 2G", text);
}

size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string shortened(const std::string& text, size_t most) {
  if (width(text) <= most) return text;
  size_t end = 0;
  for (size_t shown = 0; shown < most; ++end) shown += (text[end] & 0xc0) != 0x80;
  return text.substr(0, end - 1) + "…";
}

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Character next = first_character(text.data(), text.size());
    if (next.bytes == 0 || steers(next.code)) {
      result += '?';
    } else {
      result += text.substr(0, next.bytes);
    }
    text.remove_prefix(std::max<size_t>(next.bytes, 1));
  }
  return result;
}

}  // namespace heapster::report
