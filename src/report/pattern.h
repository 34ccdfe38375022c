// SPDX-License-Identifier: MIT
//
// The patterns that people know from sanitizers' suppressions: a part of the text, `*` for anything, `^` and `$` for
// its beginning and end.

#pragma once

#include <string_view>

namespace heapster::report {

bool matches(std::string_view pattern, std::string_view text);

// The whole text, by a pattern of which only `*` is special.
bool matches_whole(std::string_view pattern, std::string_view text);

}  // namespace heapster::report
