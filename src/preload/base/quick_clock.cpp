// SPDX-License-Identifier: MIT

#include "preload/base/quick_clock.h"

#include "preload/base/process_state.h"

namespace heapster::preload {

constinit CycleCounter cycle_counter = {};

void start_quick_clock() {
  cycle_counter = {.first_cycles = cycles(), .first_time = since_start(fine_time()), .rate = 0, .good_until = 0};
}

uint64_t compare_with_clock() {
  constexpr uint64_t kLongEnough = 20'000'000;
  const uint64_t time = since_start(fine_time());
  const uint64_t passed = cycles() - cycle_counter.first_cycles;
  const uint64_t known_for = time - cycle_counter.first_time;
  if (known_for > kLongEnough && passed != 0) {
    store(cycle_counter.rate,
          static_cast<uint64_t>(static_cast<double>(known_for) / static_cast<double>(passed) * 0x1p32));
    store(cycle_counter.good_until, passed + passed / 8);
  }
  return time;
}

}  // namespace heapster::preload
