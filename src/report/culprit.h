// SPDX-License-Identifier: MIT

#pragma once

#include "report/sites.h"

namespace heapster::report {

// The first function of a stack that is neither a way to the allocator nor the library's own: who is to be asked. The
// innermost one where there is no other; null where there is none.
const Step* culprit(const Site& site);

}  // namespace heapster::report
