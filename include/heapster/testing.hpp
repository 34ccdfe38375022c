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
// A failure prints what was allocated by size and, where the test runs with HEAPSTER_STACKS (1 samples every
// allocation), by whom: libheapster.so sums up by stack what is sampled during the run, which costs a run that keeps
// its limit next to nothing. Only a failure asks for names, of `heapster stacks PID --only …` as a child process: of
// the `heapster` beside libheapster.so, or else in PATH. What was there before the run, or is done by other threads, is
// in no sum.
//
// Where nothing is measured, every matcher fails, negated ones as well, and says what to do; a test that begins with
// HEAPSTER_SKIP_UNLESS_ACTIVE() is skipped there instead.

#pragma once

#if __cplusplus < 201703L
#error "testing.hpp needs C++17 or later (-std=c++17)"
#else

#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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

// What is sampled by stack, from its making to end().
class Watch {
 public:
  explicit Watch(Threads threads)
      : heapster_(heapster_find()), watch_(heapster_ != nullptr ? heapster_->watch(threads == all_threads) : 0) {}
  ~Watch() {
    if (watch_ != 0) heapster_->unwatch(watch_);
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  bool is_on() const { return watch_ != 0; }
  void end() { found_ = is_on() ? heapster_->watched(watch_, nullptr, 0) : 0; }
  std::vector<heapster_site> sites() const {
    std::vector<heapster_site> sites(found_);
    if (found_ != 0) sites.resize(std::min(found_, heapster_->watched(watch_, sites.data(), found_)));
    return sites;
  }

 private:
  const heapster_interface_v1* heapster_;
  uint64_t watch_;
  size_t found_ = 0;
};

// Runs from its making to end(). Readings of the process are outside those of the thread, which must be exact.
class Measurement {
 public:
  explicit Measurement(Threads threads)
      : threads_(threads), watch_(threads), process_(stats()), thread_(thread_stats()) {}

  Account end() {
    const Stats own = thread_stats() - thread_;
    const Stats whole = stats() - process_;
    watch_.end();
    Account account = account_of(threads_ == this_thread ? own : whole);
    account.peak = peak_.end() - (whole.use_curr - whole.use_change);
    account.peak_error = whole.use_max_error;
    return account;
  }
  const Watch& watch() const { return watch_; }

 private:
  Threads threads_;
  Watch watch_;
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

// The programs that may be `heapster`: the one that belongs to the library that measures us, and whatever PATH has.
inline std::vector<std::string> readers() {
  std::vector<std::string> found;
  Dl_info library{};
  if (dladdr(heapster_find(), &library) != 0 && library.dli_fname != nullptr) {
    const std::string path = library.dli_fname;
    const std::string directory = path.substr(0, path.rfind('/') + 1);
    for (const char* from : {"heapster", "../bin/heapster", "../../bin/heapster"})
      if (access((directory + from).c_str(), X_OK) == 0) found.push_back(directory + from);
  }
  found.emplace_back("heapster");
  return found;
}

// What a program prints, until its end or for a minute; nothing where it cannot be started. It is not measured.
inline std::string output_of(std::vector<std::string> words) {
  std::vector<char*> arguments, variables;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (std::strncmp(*variable, "LD_PRELOAD=", 11) != 0) variables.push_back(*variable);
  variables.push_back(nullptr);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const bool started =
      posix_spawnp(&child, arguments.front(), &actions, nullptr, arguments.data(), variables.data()) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);

  constexpr int kPatience = 60'000;  // milliseconds without a word
  std::string text;
  pollfd source{ends[0], POLLIN, 0};
  char part[4096];
  for (ssize_t size = 1; started && size > 0;) {
    const int ready = poll(&source, 1, kPatience);
    if (ready == 0) kill(child, SIGKILL);
    if (ready >= 0) size = read(ends[0], part, sizeof part);
    if (size > 0 && ready > 0) text.append(part, static_cast<std::size_t>(size));
  }
  close(ends[0]);
  while (started && waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text;
}

inline bool names_any(const std::string& function, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](auto word) { return function.find(word) != std::string::npos; });
}

// The innermost functions, without those of this header, GoogleTest's behind them, and what called the callable.
inline std::vector<std::string> without_ours(std::vector<std::string> functions) {
  constexpr std::size_t kMost = 6;
  const auto ours = [](const std::string& name) {
    return names_any(name, {"heapster::testing::", "testing::internal::", "testing::Test::Run("});
  };
  functions.erase(std::find_if(functions.begin(), functions.end(), ours), functions.end());
  while (!functions.empty() && names_any(functions.back(), {"std::invoke", "std::__invoke"})) functions.pop_back();
  functions.resize(std::min(functions.size(), kMost));
  return functions;
}

using Functions = std::vector<std::string>;

// The functions of these stacks, a line each; empty where nobody knows.
inline std::vector<Functions> names_of(const std::vector<heapster_site>& sites) {
  std::string numbers;
  for (const heapster_site& site : sites) numbers += (numbers.empty() ? "" : ",") + std::to_string(site.stack);
  for (const std::string& reader : readers()) {
    std::istringstream lines(
        output_of({reader, "stacks", std::to_string(getpid()), "--only", numbers, "--depth", "16"}));
    std::vector<Functions> names;
    Functions functions;
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) {
        functions.push_back(line);
      } else {
        names.push_back(without_ours(std::exchange(functions, {})));
      }
    }
    if (names.size() == sites.size()) return names;
  }
  return {};
}

// Stacks that read the same, added up: a loop that the compiler unrolled has several.
using Sites = std::vector<std::pair<Functions, heapster_site> >;
inline Sites added_up(const std::vector<heapster_site>& sites, const std::vector<Functions>& names) {
  std::map<Functions, heapster_site> sums;
  for (std::size_t i = 0; i < sites.size() && i < names.size(); ++i) {
    heapster_site& sum = sums[names[i]];
    sum.alloc_count += sites[i].alloc_count;
    sum.alloc_bytes += sites[i].alloc_bytes;
    sum.growth_count += sites[i].growth_count;
    sum.freed_count += sites[i].freed_count;
    sum.freed_bytes += sites[i].freed_bytes;
  }
  return {sums.begin(), sums.end()};
}

// How much of what the limit is about.
inline uint64_t weight_of(const heapster_site& site, Limit::Kind kind) {
  if (kind == Limit::kAllocations) return site.alloc_count + site.growth_count;
  if (kind != Limit::kLeaks) return site.alloc_bytes;
  return std::max(site.alloc_bytes, site.freed_bytes) - std::min(site.alloc_bytes, site.freed_bytes);
}

inline void print_site(std::ostream& out, const heapster_site& site, const Functions& functions) {
  out << "\n    allocated " << site.alloc_count << " times, " << site.alloc_bytes << " bytes";
  if (site.growth_count != 0) out << ", grown " << site.growth_count << " times";
  out << "; freed " << site.freed_count << " times, " << site.freed_bytes << " bytes";
  for (const std::string& function : functions) out << "\n        " << function;
  if (functions.empty()) out << "\n        (the expectation itself)";
}

// The sites with the most of it; false where there are none.
inline bool print_sites(std::ostream& out, const std::vector<heapster_site>& found, Limit::Kind kind) {
  constexpr std::size_t kMost = 5;
  Sites sites = added_up(found, names_of(found));
  const auto weightless = [kind](const auto& site) { return weight_of(site.second, kind) == 0; };
  sites.erase(std::remove_if(sites.begin(), sites.end(), weightless), sites.end());
  std::stable_sort(sites.begin(), sites.end(), [kind](const auto& a, const auto& b) {
    return weight_of(a.second, kind) > weight_of(b.second, kind);
  });
  if (sites.empty()) return false;
  out << "\n  where, in usable bytes as sampled:";
  for (std::size_t i = 0; i < sites.size() && i < kMost; ++i) print_site(out, sites[i].second, sites[i].first);
  if (sites.size() > kMost) out << "\n    and " << sites.size() - kMost << " more stacks";
  if (found.size() == HEAPSTER_SITES) out << "\n    and others, for which there was no room";
  return true;
}

// By whom, where that is known; else what to do to know it.
inline void print_where(std::ostream& out, const Watch& watch, Limit::Kind kind) {
  const char* const asked = std::getenv("HEAPSTER_STACKS");
  if (!watch.is_on() && (asked == nullptr || *asked == '\0')) {
    out << "\n  where: run the test with HEAPSTER_STACKS=1, and it is told here";
    return;
  }
  const std::vector<heapster_site> found = watch.sites();
  if (!found.empty() && print_sites(out, found, kind)) return;
  out << "\n  where: `heapster stacks " << getpid() << "`, or of the snapshot that this program leaves at its end";
  if (watch.is_on() && found.empty()) out << "; nothing was sampled here: HEAPSTER_STACKS=1 samples every allocation";
}

inline void print(std::ostream& out, const Account& account, const Watch& watch, const Limit& limit) {
  out << (limit.threads == this_thread ? "the thread" : "the process") << " allocated " << account.allocations
      << " times, " << account.bytes << " bytes, and freed " << account.frees << " times; live " << std::showpos
      << account.live_blocks << " blocks, " << account.live_bytes << " bytes" << std::noshowpos << "; peak "
      << account.peak << " bytes above the start";
  if (account.peak_error != 0) out << ", give or take " << account.peak_error;
  print_sizes(out, account.sizes, "of");
  print_sizes(out, account.growths, "grown by");
  print_where(out, watch, limit.kind);
}

// By which a callable is known again, a plain function as well.
template <class Function>
const void* place_of(const Function& function) {
  if constexpr (std::is_function_v<Function>) {
    return reinterpret_cast<const void*>(&function);
  } else {
    return std::addressof(function);
  }
}

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
    if (failed_ == place_of(function) && listener->IsInterested()) {
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
      return explained(place_of(function), false, "which was not measured", listener);
    }
    Measurement measurement(limit_.threads);
    static_cast<void>(std::invoke(function));
    const Account account = measurement.end();
    const bool held = limit_.holds(account);
    std::ostringstream text;
    if (!held || listener->IsInterested()) print(text << "of which ", account, measurement.watch(), limit_);
    return explained(place_of(function), held, text.str(), listener);
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
    print(text, account, measurement_->watch(), limit_);
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

#endif  // C++ below 17
