// SPDX-License-Identifier: MIT

#include "preload/base/thread_state.h"

namespace heapster::preload {

__thread ThreadState thread_state __attribute__((tls_model("initial-exec"))) = {};

}  // namespace heapster::preload
