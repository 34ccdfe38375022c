// SPDX-License-Identifier: MIT

#include "preload/base/process_state.h"

#include "preload/base/clock.h"
#include "preload/base/kernel.h"

namespace heapster::preload {

constinit Process process = {};

void note_process() {
  process.pid = kernel::pid();
  process.uid = kernel::effective_uid();
  process.started = fine_time_of_kernel();
}

}  // namespace heapster::preload
