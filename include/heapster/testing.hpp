// SPDX-License-Identifier: MIT
//
// What code may allocate, as GoogleTest expectations. Needs GoogleMock, and a test that runs under heapster-run:
//
//     using namespace heapster::testing;
//     EXPECT_THAT([&] { parse(text); }, AllocatesAtMost(10));
//     EXPECT_THAT(warmed_up([&] { log("x"); }), LeaksNothing());
//     EXPECT_NO_ALLOCATIONS { buffer.push_back(1); }
//     EXPECT_BLOCK(AllocatesAtMost(3)) { … }
//
// Each matcher runs the callable once; a failed expectation is explained by that very run. The result is destroyed
// before the second reading. Allocations are successful ones, and reallocations that grew a block; their bytes are the
// requested ones, of a growth the usable ones gained. What the calling thread does is measured, exactly; with
// `all_threads` as the last argument what the whole process does, which includes threads that have nothing to do with
// it. Peaks are the process's always: a thread has none.
//
// Where nothing is measured, every matcher fails, negated ones as well, and says what to do; a test that begins with
// HEAPSTER_SKIP_UNLESS_ACTIVE() is skipped there instead.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "heapster.hpp"

namespace heapster::testing {

// Whose allocations count.
enum Threads { this_thread, all_threads };

namespace detail {

// A call that no compiler takes away: what is measured is whether the library sees it.
inline bool is_counted(void* (*allocate)(std::size_t), void (*release)(void*)) {
  void* (*volatile visible)(std::size_t) = allocate;
  return measure_thread([&] { release(visible(1)); }).stats.alloc_count == 1;
}

inline std::string find_why_inactive() {
  const char* const how = "run the test with `heapster-run ./test`, or with LD_PRELOAD=/path/to/libheapster.so";
  if (!active()) return std::string("nothing is measured: this program does not run under heapster; ") + how;
  if (!is_counted(std::malloc, std::free))
    return "nothing is measured: heapster does not see this program's malloc; `heapster-run ./test` tells why";
  const auto release = [](void* block) { ::operator delete(block); };
  if (!is_counted([](std::size_t bytes) { return ::operator new(bytes); }, release))
    return "C++ allocations are not measured: operator new is the allocator's own; run the test with "
           "`heapster-run ./test`, or with LD_PRELOAD=/path/to/libheapster-new.so";
  return {};
}

// Why nothing is measured, with what to do; empty where it is.
inline const std::string& why_inactive() {
  static const std::string why = find_why_inactive();
  return why;
}

// What is judged.
struct Account {
  int64_t allocations = 0;
  int64_t bytes = 0;
  int64_t frees = 0;
  int64_t live_blocks = 0;  // more, or fewer, than before
  int64_t live_bytes = 0;
  int64_t peak = 0;        // bytes above what was live before, whole process
  int64_t peak_error = 0;  // how far that may be off
  heapster_histogram sizes{};
  heapster_histogram growths{};
};

inline Account account_of(const Stats& difference) {
  Account account;
  account.allocations = difference.alloc_count + difference.realloc_growth_count;
  account.bytes = difference.alloc_sum + difference.realloc_growth_sum;
  account.frees = difference.dealloc_count;
  account.live_blocks = difference.live_change;
  account.live_bytes = difference.use_change;
  account.sizes = difference.alloc_histogram;
  account.growths = difference.realloc_growth_histogram;
  return account;
}

// Runs from its making to end(). Readings of the process are outside those of the thread, which must be exact.
class Measurement {
 public:
  explicit Measurement(Threads threads) : threads_(threads), process_(stats()), thread_(thread_stats()) {}

  Account end() {
    const Stats own = thread_stats() - thread_;
    const Stats whole = stats() - process_;
    Account account = account_of(threads_ == this_thread ? own : whole);
    account.peak = peak_.end() - (whole.use_curr - whole.use_change);
    account.peak_error = whole.use_max_error;
    return account;
  }

 private:
  Threads threads_;
  heapster::detail::PeakStretch peak_;
  Stats process_;
  Stats thread_;
};

inline void print_size(std::ostream& out, int bucket) {
  if (bucket == 0) {
    out << "0";
  } else if (bucket == 1) {
    out << "1";
  } else {
    const uint64_t low = uint64_t{1} << (bucket - 1);
    out << low << " ... " << low + (low - 1);
  }
}

inline void print_sizes(std::ostream& out, const heapster_histogram& sizes, const char* what) {
  for (int i = 0; i < HEAPSTER_BUCKETS; ++i) {
    const heapster_cell& cell = sizes.bucket[i];
    if (cell.count == 0) continue;
    out << "\n    " << cell.count << " " << what << " ";
    print_size(out, i);
    out << " bytes, " << cell.bytes << " bytes together";
  }
}

inline void print_stacks_hint(std::ostream& out) {
  const char* const stacks = std::getenv("HEAPSTER_STACKS");
  if (stacks != nullptr && *stacks != '\0') {
    out << "\n  where: `heapster stacks " << getpid() << "`, or of the snapshot that this program leaves at its end";
  } else {
    out << "\n  where: run the test with HEAPSTER_STACKS=1, and `heapster stacks` shows it";
  }
}

inline void print(std::ostream& out, const Account& account, Threads threads) {
  out << (threads == this_thread ? "the thread" : "the process") << " allocated " << account.allocations << " times, "
      << account.bytes << " bytes, and freed " << account.frees << " times; live " << std::showpos
      << account.live_blocks << " blocks, " << account.live_bytes << " bytes" << std::noshowpos << "; peak "
      << account.peak << " bytes above the start";
  if (account.peak_error != 0) out << ", give or take " << account.peak_error;
  print_sizes(out, account.sizes, "of");
  print_sizes(out, account.growths, "grown by");
  print_stacks_hint(out);
}

// A limit that a run is held to.
struct Limit {
  enum Kind { kAllocations, kBytes, kLeaks, kPeak };
  Kind kind;
  int64_t most;
  Threads threads;

  bool holds(const Account& account) const {
    switch (kind) {
      case kAllocations:
        return account.allocations <= most;
      case kBytes:
        return account.bytes <= most;
      case kLeaks:
        return account.live_blocks == 0 && account.live_bytes == 0;
      case kPeak:
        return account.peak <= most;
    }
    return false;
  }

  void describe(std::ostream& out, bool negated) const {
    switch (kind) {
      case kAllocations:
        if (most == 0) {
          out << (negated ? "allocates" : "does not allocate");
        } else {
          out << (negated ? "allocates more than " : "allocates at most ") << most << " times";
        }
        break;
      case kBytes:
        out << (negated ? "allocates more than " : "allocates at most ") << most << " bytes";
        break;
      case kLeaks:
        out << (negated ? "leaves more or less live than before" : "leaves as much live as before");
        break;
      case kPeak:
        out << (negated ? "peaks at more than " : "peaks at no more than ") << most << " bytes above the start";
        break;
    }
    out << (kind == kPeak || threads == all_threads ? " (all threads)" : " (this thread)");
  }
};

// GoogleMock asks a matcher that failed a second time, for the explanation: then the callable must not run again.
class Matcher {
 public:
  explicit Matcher(const Limit& limit) : limit_(limit) {}
  const Limit& limit() const { return limit_; }

  void DescribeTo(std::ostream* out) const { limit_.describe(*out, false); }
  void DescribeNegationTo(std::ostream* out) const { limit_.describe(*out, true); }

  template <class Function>
  bool MatchAndExplain(const Function& function, ::testing::MatchResultListener* listener) const {
    static_assert(std::is_invocable_v<const Function&>, "a callable that changes itself is passed by std::ref(f)");
    if (failed_ == &function && listener->IsInterested()) {
      failed_ = nullptr;
      *listener << failure_;
      return false;
    }
    return match(function, listener);
  }

 private:
  template <class Function>
  bool match(const Function& function, ::testing::MatchResultListener* listener) const {
    if (!why_inactive().empty()) {
      static_cast<void>(std::invoke(function));
      ADD_FAILURE() << why_inactive();  // besides, because Not() would take a mismatch for what it wants
      return explained(&function, false, "which was not measured", listener);
    }
    Measurement measurement(limit_.threads);
    static_cast<void>(std::invoke(function));
    const Account account = measurement.end();
    std::ostringstream text;
    print(text << "of which ", account, limit_.threads);
    return explained(&function, limit_.holds(account), text.str(), listener);
  }

  bool explained(const void* function, bool held, const std::string& text,
                 ::testing::MatchResultListener* listener) const {
    if (!held && !listener->IsInterested()) {
      failed_ = function;
      failure_ = text;
    }
    *listener << text;
    return held;
  }

  Limit limit_;
  mutable const void* failed_ = nullptr;
  mutable std::string failure_;
};

using PolymorphicMatcher = ::testing::PolymorphicMatcher<Matcher>;

inline PolymorphicMatcher matcher(Limit::Kind kind, int64_t most, Threads threads) {
  return ::testing::MakePolymorphicMatcher(Matcher(Limit{kind, most, threads}));
}

// What EXPECT_BLOCK runs the statement in: once, and once more around, past it, where there is a failure to tell of. A
// statement that is left early, by return or break, is judged, too; one that an exception leaves is not.
class Block {
 public:
  Block(const PolymorphicMatcher& matcher, const char* file, int line)
      : limit_(matcher.impl().limit()), file_(file), line_(line), failure_(why_inactive()) {
    if (failure_.empty()) measurement_.emplace(limit_.threads);
  }
  ~Block() {
    if (ended_ || std::uncaught_exceptions() > exceptions_) return;
    end();
    if (!failure_.empty()) ADD_FAILURE_AT(file_, line_) << failure_;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  bool next() {
    if (!entered_) return entered_ = true;
    if (!ended_) end();
    return !std::exchange(told_, true) && !failure_.empty();
  }
  bool failed() const { return ended_; }
  const std::string& failure() const { return failure_; }

 private:
  void end() {
    ended_ = true;
    if (!measurement_) return;
    const Account account = measurement_->end();
    if (limit_.holds(account)) return;
    std::ostringstream text;
    text << "Expected: a block that ";
    limit_.describe(text, false);
    text << "\n  Actual: ";
    print(text, account, limit_.threads);
    failure_ = text.str();
  }

  Limit limit_;
  const char* file_;
  int line_;
  int exceptions_ = std::uncaught_exceptions();
  std::string failure_;
  bool entered_ = false;
  bool ended_ = false;
  bool told_ = false;
  std::optional<Measurement> measurement_;
};

}  // namespace detail

// At most so many allocations, or so many bytes in them.
inline auto AllocatesAtMost(int64_t times, Threads threads = this_thread) {
  return detail::matcher(detail::Limit::kAllocations, times, threads);
}
inline auto AllocatesBytesAtMost(int64_t bytes, Threads threads = this_thread) {
  return detail::matcher(detail::Limit::kBytes, bytes, threads);
}
inline auto DoesNotAllocate(Threads threads = this_thread) { return AllocatesAtMost(0, threads); }

// As many blocks and bytes live after as before, neither more nor fewer. A first run often fills what stays (a stream's
// buffer, a static table): see warmed_up.
inline auto LeaksNothing(Threads threads = this_thread) { return detail::matcher(detail::Limit::kLeaks, 0, threads); }

// Never so many live bytes more than at the start: of the whole process, exact while one thread is at work.
inline auto PeaksAtMost(int64_t bytes) { return detail::matcher(detail::Limit::kPeak, bytes, all_threads); }

// The callable, after one run that is not measured.
template <class Function>
Function warmed_up(Function function) {
  static_cast<void>(std::invoke(function));
  return function;
}

}  // namespace heapster::testing

// EXPECT_BLOCK(AllocatesAtMost(3)) { … } holds a block to any one of the matchers above.
#define EXPECT_BLOCK(matcher) HEAPSTER_BLOCK_(matcher, ADD_FAILURE(), GTEST_CONCAT_TOKEN_(heapster_block_, __LINE__))
#define ASSERT_BLOCK(matcher) HEAPSTER_BLOCK_(matcher, FAIL(), GTEST_CONCAT_TOKEN_(heapster_block_, __LINE__))
#define EXPECT_NO_ALLOCATIONS EXPECT_BLOCK(::heapster::testing::DoesNotAllocate())
#define ASSERT_NO_ALLOCATIONS ASSERT_BLOCK(::heapster::testing::DoesNotAllocate())
#define EXPECT_NO_LEAKS EXPECT_BLOCK(::heapster::testing::LeaksNothing())
#define ASSERT_NO_LEAKS ASSERT_BLOCK(::heapster::testing::LeaksNothing())

// Skips the test, with a sentence, where nothing is measured.
#define HEAPSTER_SKIP_UNLESS_ACTIVE()                        \
  if (::heapster::testing::detail::why_inactive().empty()) { \
  } else /* NOLINT */                                        \
    GTEST_SKIP() << ::heapster::testing::detail::why_inactive()

#define HEAPSTER_BLOCK_(matcher, report, block)                                                \
  GTEST_AMBIGUOUS_ELSE_BLOCKER_                                                                \
  for (::heapster::testing::detail::Block block((matcher), __FILE__, __LINE__); block.next();) \
    if (block.failed())                                                                        \
      report << block.failure();                                                               \
    else
