// SPDX-License-Identifier: MIT
//
// A source of its own, so that all parts run the same machine code for the loop: what it takes depends on where its
// instructions lie.

#include "core_watch.h"

#include <sched.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <thread>

namespace bench {

double full_core_loop() {
  double best = 1e9;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto start = Clock::now();
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    for (int i = 0; i < 200'000; ++i) {
      a += 3, b += 5, c ^= a, d += 7, e += 9, f += 11;
      asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
    }
    best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return best;
}

std::vector<int> allowed_processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> found;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return found;
  for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &allowed)) found.push_back(processor);
  }
  return found;
}

void settle_on(int processor) {
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(processor, &own);
  sched_setaffinity(0, sizeof own, &own);
}

double least_given() {
  const char* const given = std::getenv("BENCH_CORE_US");
  return given == nullptr ? 0 : std::strtod(given, nullptr);
}

bool CoreWatch::settle(std::chrono::nanoseconds patience) {
  for (const auto start = Clock::now();;) {
    for (size_t tried = 0; tried < processors_.size(); ++tried) {
      settle_on(processors_[current_]);
      if (is_alone()) return true;
      current_ = (current_ + 1) % processors_.size();
    }
    if (Clock::now() - start >= patience) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace bench
