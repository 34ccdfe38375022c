// SPDX-License-Identifier: MIT
//
// Whether we have our core to ourselves.
//
// A processor of a virtual machine is often one of two threads of a core, and another guest's work on the second one
// makes ours a third to a half slower, for seconds. No load average and no steal time tells. What tells is a loop that
// has work for all of the core's units at each moment: it takes as much longer as they are taken by somebody else. (A
// loop whose operations wait for each other does not feel it.) So what was measured beside a neighbour can be
// recognised by something that has nothing to do with the subject, and repeated.

#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

// Microseconds of that loop on the processor we are on, the best of three, since an interrupt is no neighbour.
double full_core_loop();

std::vector<int> allowed_processors();
void settle_on(int processor);

// What the loop takes on a core of its own is found by bench_core and handed on in BENCH_CORE_US. Without it, or where
// it is 0, we are taken to be alone.
double least_given();

class CoreWatch {
 public:
  bool is_alone() const { return limit_ == 0 || full_core_loop() <= limit_; }

  // Onto a processor whose core is ours, and kept there. False if none becomes free for that long; then it is the last
  // one looked at.
  bool settle(std::chrono::nanoseconds patience);

 private:
  double limit_ = least_given() * 1.1;
  std::vector<int> processors_ = allowed_processors();
  size_t current_ = processors_.empty() ? 0 : processors_.size() - 1;  // the last one takes fewest interrupts
};

}  // namespace bench
