// SPDX-License-Identifier: MIT
//
// heapster from inside, for C++17 and later:
//
//     const auto measured = heapster::measure([&] { return parse(text); });
//     measured.stats.alloc_count;    // and every other figure of `heapster show`, by its name
//     measured.result;
//
//     heapster::scope scope{"parse"};  // what this thread allocates until the end of the block is reported apart
//
// In a program that does not run under heapster all this costs next to nothing, and figures are 0. Nothing here
// allocates, throws, or takes a lock; everything may be called by any thread at any time. heapster.h is the same for C.

#pragma once

#if __cplusplus < 201703L
#error "heapster.hpp needs C++17 or later (-std=c++17); heapster.h is for older C++, and for C"
#else

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "heapster.h"

namespace heapster {

namespace detail {

// The same bytes as another type, as std::bit_cast has it from C++20 on.
template <class To, class From>
To as(const From& from) noexcept {
  static_assert(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<To> && std::is_trivially_copyable_v<From>);
  To to;
  std::memcpy(static_cast<void*>(&to), &from, sizeof to);
  return to;
}

}  // namespace detail

// Counts and bytes by size: bucket 0 is size 0, bucket k the sizes [2^(k-1), 2^k).
struct Histogram : heapster_histogram {
  int64_t count() const {
    uint64_t sum = 0;
    for (const heapster_cell& cell : bucket) sum += cell.count;
    return static_cast<int64_t>(sum);
  }
  // What is known of the size at the rank ceil(q·n), at least 1, of n sizes: its bucket and the sum of the sizes in
  // there allow nothing below `low` and nothing above `high`. Nothing where the histogram is empty or q is outside
  // [0, 1].
  struct Bounds {
    int64_t low = 0;
    int64_t high = 0;
  };
  std::optional<Bounds> quantile(double q) const {
    const int64_t all = count();
    if (all <= 0 || !(q >= 0 && q <= 1)) return {};
    const double wanted = std::ceil(q * static_cast<double>(all));
    const int64_t rank = wanted < static_cast<double>(all) ? std::max<int64_t>(static_cast<int64_t>(wanted), 1) : all;
    int64_t before = 0;
    for (int i = 0; i < HEAPSTER_BUCKETS; ++i) {
      const auto here = static_cast<int64_t>(bucket[i].count);
      if (here > 0 && before + here >= rank) return bounds_in(i, here, rank - before);
      before += std::max<int64_t>(here, 0);
    }
    return {};
  }

 private:
  // The k-th of a bucket's n sizes: those after it are not smaller, those before it not larger.
  Bounds bounds_in(int i, int64_t n, int64_t k) const {
    if (i == 0) return {0, 0};
    const int64_t low = int64_t{1} << std::min(i - 1, 62);
    const int64_t high = low - 1 + low;
    const auto sum = static_cast<int64_t>(bucket[i].bytes);
    if (n > INT64_MAX / high || sum < n * low || sum > n * high) return {low, high};
    return {std::max(low, high - (n * high - sum) / k), std::min(high, low + (sum - n * low) / (n - k + 1))};
  }
};

// The figures by their names (docs/counters.md), as plain members: d.alloc_count, d.use_curr, d.alloc_histogram, …
// Sizes are bytes, times seconds.
struct Stats {
#define HEAPSTER_CELLS Histogram
#include "stats.def"

  // What happened between two readings. Flows are subtracted; states (live, peak) are those of the later one, and
  // use_change and live_change tell by how much they changed.
  friend Stats operator-(const Stats& later, const Stats& earlier) noexcept {
    auto difference = detail::as<heapster_stats>(later);
    const auto from = detail::as<heapster_stats>(earlier);
    heapster_subtract(&difference, &from);
    return detail::as<Stats>(difference);
  }
};

// Whether the program is being measured.
inline bool active() noexcept { return heapster_active() != 0; }

// The process's figures since its start or the last reset. Two of them may be some microseconds apart while other
// threads allocate.
inline Stats stats() noexcept {
  heapster_stats now;
  heapster_read(&now);
  return detail::as<Stats>(now);
}

// The calling thread's own since its start: exact, free of what others do. It has no peak (use_max is 0), and use_curr
// is below zero where it frees what others allocated.
inline Stats thread_stats() noexcept {
  heapster_stats now;
  heapster_read_thread(&now);
  return detail::as<Stats>(now);
}

// Makes stats() count from now on: flows begin at 0, what is live stays, the peak becomes what is live. Reports from
// outside go on as before.
inline void reset() noexcept { heapster_reset(); }

// A function's result (none for void) and what happened meanwhile.
template <class Result>
struct Measured {
  Result result;
  Stats stats;
};
template <>
struct Measured<void> {
  Stats stats;
};

namespace detail {

// The peak of a stretch; also ends it where an exception leaves.
class PeakStretch {
 public:
  PeakStretch() noexcept : before_(heapster_begin_peak()) {}
  ~PeakStretch() {
    if (!ended_) end();
  }
  PeakStretch(const PeakStretch&) = delete;
  PeakStretch& operator=(const PeakStretch&) = delete;
  int64_t end() noexcept {
    ended_ = true;
    return heapster_end_peak(before_);
  }

 private:
  int64_t before_;
  bool ended_ = false;
};

template <class Function, class Difference>
auto measured(Function&& function, Difference difference) {
  using Result = std::invoke_result_t<Function>;
  if constexpr (std::is_void_v<Result>) {
    std::invoke(std::forward<Function>(function));
    return Measured<void>{difference()};
  } else {
    Result result = std::invoke(std::forward<Function>(function));
    const Stats stats = difference();
    return Measured<Result>{std::forward<Result>(result), stats};
  }
}

}  // namespace detail

// Runs f and tells what the whole process did meanwhile; use_max is the highest use_curr meanwhile. What f's result
// holds is live at the second reading. Peaks of measurements that several threads make at once cut each other short.
template <class Function>
auto measure(Function&& f) {
  detail::PeakStretch peak;
  const Stats before = stats();
  return detail::measured(std::forward<Function>(f), [&] {
    Stats difference = stats() - before;
    difference.use_max = peak.end();
    return difference;
  });
}

// Runs f and tells what the calling thread did meanwhile: exact, whatever others do.
template <class Function>
auto measure_thread(Function&& f) {
  const Stats before = thread_stats();
  return detail::measured(std::forward<Function>(f), [&] { return thread_stats() - before; });
}

// Counts what this thread does until the end of the block apart, under a name, inside the scope that it is in. To be
// destroyed by the thread that made it. heapster_enter tells the limits.
class scope {
 public:
  explicit scope(const char* name) noexcept : before_(heapster_enter(name)) {}
  ~scope() { heapster_leave(before_); }
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

 private:
  uint64_t before_;
};

// Beyond this many live bytes, allocations fail (malloc gives NULL, new throws std::bad_alloc); 0: no limit. False
// where more is in use already, or where the program is not measured.
inline bool set_limit(uint64_t bytes) noexcept { return heapster_set_limit(bytes) == 0; }
// The limit in bytes; 0: none.
inline uint64_t limit() noexcept { return heapster_limit(); }
// What may still be allocated, in bytes; UINT64_MAX: no limit.
inline uint64_t remaining() noexcept { return heapster_remaining(); }

}  // namespace heapster

#endif  // C++ below 17
