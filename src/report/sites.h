// SPDX-License-Identifier: MIT
//
// Who allocates: a site is a stack with names, and everything that is known of the blocks from there. Stacks that read
// the same are one site, whatever their addresses; so sites of two processes of one program can be compared.
//
// All figures are estimates, but where every allocation is sampled. The error beside them is one standard error: the
// true value lies within it in two cases of three, and within twice as much in nineteen of twenty. A file that lacks
// what it is made of has none.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reader/names.h"
#include "reader/snapshot.h"

namespace heapster::report {

// One function of a stack; what was inlined is a function like any other.
struct Step {
  reader::SharedText function = {};  // or the place, where the name is not known
  reader::SharedText file = {};
  uint32_t line = 0;
  reader::SharedText module = {};
  bool known = true;

  friend bool operator==(const Step&, const Step&) = default;
};

size_t hash_of(const Step& step);

struct Site {
  std::vector<Step> steps = {};  // innermost first; none: blocks whose stack was not taken
  bool truncated = false;
  reader::StackFigures figures = {};
  reader::StackFigures before = {};  // of an earlier snapshot, where two are compared
  double live_variance = 0;          // of the estimate of its live bytes, from the samples themselves
  double before_variance = 0;
  double missed_blocks = 0;  // its part of what counts are known to be off by, beyond their error
  double missed_temporary = 0;
  double common_variance = 0;  // of both, where they are of one process: what lives in both is not in the change's
};

// A live sample, and where its site is among them all.
struct LiveSample {
  size_t site;
  const reader::Sample* sample;
};

// The sites of a file, told apart by what tells whether two stacks read the same.
struct Sites {
  std::vector<Site> sites = {};
  uint64_t mean_bytes = 1;        // between samples
  double duration = 0;            // of the process, seconds
  reader::StackFigures of_ended;  // where a thread is chosen: live blocks of threads that left no name
  std::vector<LiveSample> live;   // as long as the sites are not sorted, and the snapshot is there
};

// Which sites, and which of their live blocks.
struct Selection {
  std::string function = {};  // patterns on any function of the stack, or module
  std::string module = {};
  std::string scope = {};   // a pattern on its path
  std::string thread = {};  // its name, as a pattern, or its number
  std::optional<uint64_t> least_size = {}, most_size = {};

  // These can be told of live blocks alone: of those that are freed, no more than sums by stack is kept.
  bool live_only() const { return !thread.empty() || least_size || most_size; }
};

Sites make_sites(const reader::Snapshot& snapshot, const reader::Names& names, const Selection& selection = {});

// The functions of one stack.
std::vector<Step> steps_of(const reader::Stack& stack, const reader::Stacks& stacks, const reader::Names& names);

// The sites of `after`, each with what it was in `before`; those that are gone are there too. Within one process the
// change is surer than the levels: what lives in both snapshots is the same in both. Both are not sorted yet.
Sites compare(const Sites& before, const Sites& after, bool same_process);

// What sites are ordered by.
enum class By { kLive, kAllocated, kCount, kPeak, kTemporary, kGrowth };
struct ByInfo {
  By by;
  std::string_view name;
  std::string_view title;
  std::string_view help;
};
inline constexpr std::array kBys{
    ByInfo{By::kLive, "live", "live bytes", "bytes allocated there and not freed"},
    ByInfo{By::kAllocated, "allocated", "allocated bytes", "bytes of all blocks allocated there"},
    ByInfo{By::kCount, "count", "allocations", "blocks allocated there"},
    ByInfo{By::kPeak, "peak", "live bytes near the peak", "live bytes when the program held most, or shortly before"},
    ByInfo{By::kTemporary, "temporary", "temporary blocks", "blocks freed before their thread's next allocation"},
    ByInfo{By::kGrowth, "growth", "growth", "live bytes more than in an earlier snapshot"},
};
const ByInfo& info_of(By by);

struct Estimate {
  double bytes = 0;
  double blocks = 0;
  double samples = 0;           // that it rests on
  std::optional<double> error;  // of the figure that the order goes by, as a share of it; nothing: not known

  // So few samples that the figure is no more than a hint.
  bool uncertain() const { return error > 0.5; }
};
Estimate estimate(const Site& site, By by, uint64_t mean_bytes);

// The number that sites are ordered by: bytes, or blocks.
double rank(const Estimate& estimate, By by);
bool counts_blocks(By by);

// Adds a site's figures to those of another one, or of them all.
void add(Site& sum, const Site& site);

// The largest first; sites of no account are left out.
void sort_by(Sites& sites, By by);

// What is known of a time, in seconds: it is neither below `low` nor above `high`.
struct Span {
  double low = 0;
  double high = 0;
};

// The median life of the blocks that were freed: as near as its class tells, and that none lived longer than the
// process. Nothing where none was freed.
std::optional<Span> median_lifetime(const reader::StackFigures& figures, double duration);
// How long freed blocks lived: for each class that has some, in order, its upper bound in seconds, and its share of
// them all. The last class has no bound.
struct Lifetimes {
  std::optional<double> below;
  double share;
};
std::vector<Lifetimes> lifetimes(const reader::StackFigures& figures);
// Of the freed blocks, the share that another thread freed; of all blocks, the share that was temporary.
std::optional<double> elsewhere_share(const reader::StackFigures& figures);
std::optional<double> temporary_share(const reader::StackFigures& figures);

// Whole blocks of a figure that is kept in 256ths, to the nearest.
int64_t blocks_of(uint64_t in_256ths);

// How long some calls of the next allocator took.
class Latencies {
 public:
  Latencies(const uint64_t (&histogram)[kLatencies], uint64_t slowest) : histogram_(histogram), slowest_(slowest) {}

  uint64_t calls() const;  // that were timed
  double slowest() const;  // seconds
  // The class that the quantile lies in, and not above the slowest; nothing where no call was timed.
  std::optional<Span> quantile(double q) const;
  // For each class that has some, in order, its upper bound in seconds, and its calls.
  struct Class {
    double below;
    uint64_t calls;
  };
  std::vector<Class> classes() const;

 private:
  const uint64_t (&histogram_)[kLatencies];
  uint64_t slowest_;
};

}  // namespace heapster::report
