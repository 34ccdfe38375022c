// SPDX-License-Identifier: MIT
//
// Leaks that are known: lines `leak:PATTERN`, as LeakSanitizer reads them. `#` begins a line that says why.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reader/result.h"
#include "report/sites.h"

namespace heapster::report {

class Suppressions {
 public:
  static reader::Result<Suppressions> parse(std::string_view text);

  // Whether a function, a file or a module of the site's stack matches one of the patterns.
  bool match(const Site& site) const;

 private:
  std::vector<std::string> patterns_;
};

}  // namespace heapster::report
