// SPDX-License-Identifier: MIT
//
// How a number is written for people: counts with separators, sizes in powers of 1024, times with
// as many digits as help. And back: the sizes and counts that people type.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heapster::report {

std::string count_text(int64_t count);                    // 1,234,567
std::string bytes_text(int64_t bytes);                    // 1.2 MiB
std::string real_bytes_text(double bytes);                // the same from 1 KiB on, and of more than fits into 63 bits
std::string seconds_text(double seconds);                 // 12.3 ms, 4.56 s, 1 h 02 min
std::string brief_text(double seconds);                   // 812 ns, 12.3 µs; from a millisecond on as above
std::string share_text(double part, double whole);        // 12.3 %; a dash where there is no whole
std::string rate_text(double per_second, bool is_bytes);  // 1.2 M/s, 3.4 MiB/s

// The nearest 64-bit number: figures of a damaged file may be any double.
int64_t whole(double value);

inline constexpr std::string_view kUnknown = "–";

// As layout/sizes.h has it. Nothing where it is no size.
std::optional<int64_t> parse_size(std::string_view text);
std::string invalid_size_text(std::string_view text);  // the same words for every option
// 1000000, 1e6, 1_000_000.
std::optional<int64_t> parse_count(std::string_view text);

// Characters that a terminal shows, for UTF-8 text.
size_t width(std::string_view text);

// At most so many characters of it, the last of them an ellipsis where something is missing.
std::string shortened(const std::string& text, size_t most);

// The text with whatever may not be shown replaced (layout/characters.h). All text of files goes through this, but for
// JSON, which can escape it.
std::string printable(std::string_view text);

}  // namespace heapster::report
