// SPDX-License-Identifier: MIT
//
// The error of an estimate. A block of s bytes is sampled with probability p = 1 − e^(−s/R), where R is the mean
// distance between samples, and stands for w = 1/p blocks, or s/p bytes. The sum of such weights over the samples has
// the variance Σ w²·(1 − p), which is an estimate itself: of live blocks it is made of their samples, of others the
// file has the sums.
//
// Where few samples make up the variance, it is low whenever the estimate is. So two samples' worth are added to it, as
// one does to a count of rare events: then the truth is as often within the error, and within twice the error, as it is
// said to be. No sample adds more than R² to a variance of bytes. What one adds to that of counts goes by the square of
// its weight; there Q/V is what they are worth, Q being the sum of their squares. Small blocks of which none happens to
// be sampled are in no sum. But how many there are in all is counted: what the estimates miss of it by more than twice
// their error is added to each site's error by its share.

#include "report/sites.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <unordered_map>

#include "report/pattern.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Sample;
using reader::Snapshot;
using reader::StackFigures;

constexpr double kMicroseconds = 1e-6;
constexpr double kNanoseconds = 1e-9;

size_t hash_of(const std::vector<Step>& steps) {
  size_t hash = steps.size();
  for (const Step& step : steps) hash = (hash ^ hash_of(step)) * 0x9e3779b97f4a7c15 + (hash >> 29);
  return hash;
}

// Sites by their steps, in the order in which they came.
class Gathering {
 public:
  // Where the site with these steps is: a new one, if need be.
  size_t place_of(std::vector<Step> steps) {
    const size_t hash = hash_of(steps);
    const auto [begin, end] = places_.equal_range(hash);
    const auto found = std::find_if(begin, end, [&](const auto& each) { return sites_[each.second].steps == steps; });
    if (found != end) return found->second;
    places_.emplace(hash, sites_.size());
    sites_.push_back({.steps = std::move(steps)});
    return sites_.size() - 1;
  }
  Site& at(size_t place) { return sites_[place]; }
  Site& at(const std::vector<Step>& steps) { return at(place_of(steps)); }
  std::vector<Site> take() { return std::move(sites_); }

 private:
  std::vector<Site> sites_;
  std::unordered_multimap<size_t, size_t> places_;  // by hash
};

bool selected(const std::vector<Step>& steps, const Selection& selection) {
  const auto any = [&](const std::string& pattern, reader::SharedText Step::*member) {
    return pattern.empty() || std::any_of(steps.begin(), steps.end(),
                                          [&](const Step& step) { return matches(pattern, (step.*member).str()); });
  };
  return any(selection.function, &Step::function) && any(selection.module, &Step::module);
}

// Whose blocks are asked for.
class Owners {
 public:
  Owners(const Snapshot& snapshot, const std::string& wanted) : all_(wanted.empty()) {
    if (all_) return;
    for (const reader::Thread& thread : snapshot.threads)
      wanted_[{thread.slot, thread.generation}] = matches(wanted, thread.name) || wanted == std::to_string(thread.tid);
  }

  // Nothing where that thread has ended and another has its slot: it has left no name.
  std::optional<bool> wanted(const Sample& sample) const {
    if (all_) return true;
    const auto found = wanted_.find({sample.slot, sample.generation});
    return found == wanted_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  bool all_;
  std::map<std::pair<uint32_t, uint32_t>, bool> wanted_;  // by slot and generation
};

bool in_scope(uint32_t number, const Snapshot& snapshot, const std::string& wanted) {
  return wanted.empty() || std::any_of(snapshot.scopes.begin(), snapshot.scopes.end(), [&](const reader::Scope& scope) {
           return std::count(scope.numbers.begin(), scope.numbers.end(), number) != 0 && matches(wanted, scope.path);
         });
}

bool selected(const Sample& sample, const Selection& selection) {
  return sample.bytes >= selection.least_size.value_or(0) && sample.bytes <= selection.most_size.value_or(UINT64_MAX);
}

// As if nothing else had been allocated there.
void add_live(StackFigures& figures, const Sample& sample) {
  figures.samples += 1;
  figures.alloc_bytes += sample.weight_bytes;
  figures.alloc_count += sample.weight_count;
}

double real(uint64_t number) { return static_cast<double>(number); }
double real_blocks(uint64_t in_256ths) { return real(in_256ths) / static_cast<double>(kWholeBlock); }

// Nothing where the file does not tell, or tells nonsense.
std::optional<double> error_of(double variance, double worth) {
  if (!std::isfinite(variance) || !std::isfinite(worth)) return std::nullopt;
  constexpr double kRounding = 1e-3;  // what is left of sums that should be 0
  return variance > kRounding ? std::sqrt(variance + 2 * worth) : 0;
}

std::optional<double> error_of_bytes(double variance, uint64_t mean_bytes) {
  return error_of(variance, std::min(variance, real(mean_bytes) * real(mean_bytes)));
}

std::optional<double> error_of_count(double variance, double squares, double missed) {
  const std::optional<double> error = error_of(variance, variance > 0 ? squares / variance : 0);
  return error ? std::optional(std::hypot(*error, missed)) : std::nullopt;
}
std::optional<double> error_of_blocks(const StackFigures& f, double missed = 0) {
  return error_of_count(f.alloc_count_variance, f.alloc_count_squares, missed);
}
std::optional<double> error_of_temporary(const StackFigures& f, double missed = 0) {
  return error_of_count(f.temporary_count_variance, f.temporary_count_squares, missed);
}

// Where blocks that shrank grow again, the same samples count once more.
std::optional<double> error_of_allocated(const StackFigures& f, uint64_t mean_bytes) {
  const std::optional<double> once = error_of_bytes(f.alloc_bytes_variance, mean_bytes);
  return once && std::isfinite(f.shrunk_bytes_error) ? std::optional(*once + f.shrunk_bytes_error) : std::nullopt;
}

// How far an estimate is off beyond its error, when the truth is known, and twice the error does not reach it.
double missed(double truth, double found, std::optional<double> error) {
  const double off = std::abs(truth - found);
  return error && off > 2 * *error ? std::sqrt(off * off - *error * *error) : 0;
}

// As a share of what it is the error of.
std::optional<double> share_of(double whole, std::optional<double> error) {
  if (!error || whole == 0) return error ? std::optional(0.0) : std::nullopt;
  return *error / std::abs(whole);
}

// What a live sample adds to the variance of its site's live bytes.
double variance_of(const Sample& sample) {
  if (sample.weight_count <= kWholeBlock) return 0;
  const double sampled = static_cast<double>(kWholeBlock) / real(sample.weight_count);  // how probably it was
  return real(sample.weight_bytes) * real(sample.weight_bytes) * (1 - sampled);
}

// Whether an entry is of the block that it was of in an earlier snapshot, which may have grown or shrunk since.
bool same_block(const Sample& before, const Sample& now) {
  return before.time == now.time && before.slot == now.slot && before.generation == now.generation &&
         before.stack.has_value() == now.stack.has_value();
}

// What the variance of a change is less than those of both levels: twice their covariance, which is that of the size at
// which the block was the surer to be sampled.
double common_variance(const Sample& before, const Sample& now) {
  const double surest = std::max(1.0, real_blocks(std::min(before.weight_count, now.weight_count)));
  return 2 * real(before.weight_bytes) * real(now.weight_bytes) * (1 - 1 / surest);
}

Estimate made(double bytes, double blocks, uint64_t samples) { return {bytes, blocks, real(samples), 0}; }

// What is live of both snapshots of one process has its samples in both, and is as wrong in both.
Estimate growth(const Site& site, uint64_t mean_bytes) {
  const StackFigures &before = site.before, &now = site.figures;
  Estimate change = made(real(now.live_bytes()) - real(before.live_bytes()),
                         real_blocks(now.live_count()) - real_blocks(before.live_count()), now.live_samples());
  const double variance = site.before_variance + site.live_variance - site.common_variance;
  change.error = share_of(change.bytes, error_of_bytes(variance, mean_bytes));
  return change;
}

}  // namespace

size_t hash_of(const Step& step) {
  const std::hash<std::string> hash;
  return hash(step.function) * 31 + hash(step.file) * 7 + hash(step.module) + step.line;
}

const ByInfo& info_of(By by) { return kBys[static_cast<size_t>(by)]; }

int64_t blocks_of(uint64_t in_256ths) {
  return static_cast<int64_t>(in_256ths / kWholeBlock + (in_256ths % kWholeBlock >= kWholeBlock / 2));
}

namespace {

std::vector<reader::SharedText> names_of_modules(const reader::Stacks& stacks) {
  std::vector<reader::SharedText> names;
  for (const reader::Module& module : stacks.modules) names.emplace_back(module.short_name());
  return names;
}

std::vector<Step> steps_of(const reader::Stack& stack, const std::vector<reader::SharedText>& modules,
                           const reader::Names& names) {
  std::vector<Step> steps;
  steps.reserve(stack.frames.size());
  for (const reader::Frame& frame : stack.frames) {
    const reader::SharedText module = frame.module < modules.size() ? modules[frame.module] : reader::SharedText();
    for (const reader::Location& location : names.of(frame))
      steps.push_back({location.function, location.file, location.line, module, location.known});
  }
  return steps;
}

}  // namespace

std::vector<Step> steps_of(const reader::Stack& stack, const reader::Stacks& stacks, const reader::Names& names) {
  return steps_of(stack, names_of_modules(stacks), names);
}

namespace {

// Gives each site its part of what counts are off by in all. Where each block is sampled they are not: what came before
// the first is no site's.
void share_what_is_missed(std::vector<Site>& sites, const Snapshot& snapshot) {
  const StackFigures all = snapshot.stacks->total();
  const auto give = [&](reader::Number counted, uint64_t StackFigures::*count, std::optional<double> error,
                        double Site::*part) {
    const double found = real_blocks(all.*count);
    if (!counted.known() || found == 0) return;
    const double each = missed(real(counted.word()), found, error) / found;
    for (Site& site : sites) site.*part = each * real_blocks(site.figures.*count);
  };
  if (snapshot.stacks->sampling.mean_bytes <= 1) return;
  give(snapshot.stats.alloc.count(), &StackFigures::alloc_count, error_of_blocks(all), &Site::missed_blocks);
  give(snapshot.stats.temporary_count, &StackFigures::temporary_count, error_of_temporary(all),
       &Site::missed_temporary);
}

}  // namespace

Sites make_sites(const Snapshot& snapshot, const reader::Names& names, const Selection& selection) {
  constexpr size_t kLeftOut = SIZE_MAX, kWaits = SIZE_MAX - 1;
  const reader::Stacks& stacks = *snapshot.stacks;
  const std::vector<reader::SharedText> modules = names_of_modules(stacks);
  Gathering gathering;
  StackFigures of_ended;
  std::vector<LiveSample> live;
  // Worked out once for each stack: samples are many more. Where live blocks alone are asked for, a stack becomes a
  // site with the first of them.
  std::vector<size_t> places(stacks.stacks.size(), kLeftOut);
  std::vector<std::vector<Step>> waiting(selection.live_only() ? stacks.stacks.size() : 0);
  for (size_t i = 0; i < places.size(); ++i) {
    if (!in_scope(stacks.stacks[i].scope, snapshot, selection.scope)) continue;
    std::vector<Step> steps = steps_of(stacks.stacks[i], modules, names);
    if (!selected(steps, selection)) continue;
    if (selection.live_only()) {
      places[i] = kWaits;
      waiting[i] = std::move(steps);
      continue;
    }
    places[i] = gathering.place_of(std::move(steps));
    Site& site = gathering.at(places[i]);
    site.truncated |= stacks.stacks[i].truncated;
    reader::add(site.figures, stacks.stacks[i].figures);
  }
  const bool bare = in_scope(0, snapshot, selection.scope) && selected(std::vector<Step>(), selection);
  const Owners owners(snapshot, selection.thread);
  for (const Sample& sample : stacks.samples) {
    if (!selected(sample, selection)) continue;
    if (sample.stack ? places[*sample.stack] == kLeftOut : !bare) continue;
    if (const std::optional<bool> wanted = owners.wanted(sample); !wanted.value_or(false)) {
      if (!wanted) add_live(of_ended, sample);
      continue;
    }
    if (sample.stack && places[*sample.stack] == kWaits)
      places[*sample.stack] = gathering.place_of(std::move(waiting[*sample.stack]));
    const size_t place = sample.stack ? places[*sample.stack] : gathering.place_of({});
    Site& site = gathering.at(place);
    site.live_variance += variance_of(sample);
    live.push_back({place, &sample});
    // What has a stack is in its figures already, unless these are of no use.
    if (!sample.stack || selection.live_only()) add_live(site.figures, sample);
  }
  std::vector<Site> sites = gathering.take();
  share_what_is_missed(sites, snapshot);
  return {std::move(sites), stacks.sampling.mean_bytes, snapshot.process.duration, of_ended, std::move(live)};
}

Sites compare(const Sites& before, const Sites& after, bool same_process) {
  Gathering gathering;
  for (const Site& site : after.sites) gathering.at(site.steps) = site;
  std::vector<size_t> places;  // of earlier sites
  for (const Site& site : before.sites) {
    places.push_back(gathering.place_of(site.steps));
    Site& now = gathering.at(places.back());
    now.before = site.figures;
    now.before_variance = site.live_variance;
  }
  if (same_process) {
    std::map<uint32_t, LiveSample> earlier;
    for (const LiveSample& each : before.live) earlier[each.sample->place] = each;
    for (const LiveSample& each : after.live) {
      const auto found = earlier.find(each.sample->place);
      if (found == earlier.end() || !same_block(*found->second.sample, *each.sample)) continue;
      if (places[found->second.site] == each.site)
        gathering.at(each.site).common_variance += common_variance(*found->second.sample, *each.sample);
    }
  }
  return {gathering.take(), std::max(before.mean_bytes, after.mean_bytes), after.duration, after.of_ended, {}};
}

Estimate estimate(const Site& site, By by, uint64_t mean_bytes) {
  const StackFigures& f = site.figures;
  Estimate found = made(real(f.alloc_bytes), real_blocks(f.alloc_count), f.samples);
  switch (by) {
    case By::kLive:
      found = made(real(f.live_bytes()), real_blocks(f.live_count()), f.live_samples());
      found.error = share_of(found.bytes, error_of_bytes(site.live_variance, mean_bytes));
      break;
    case By::kPeak:
      found = made(real(f.peak_bytes), real_blocks(f.peak_count), f.peak_samples);
      found.error = share_of(found.bytes, error_of_bytes(f.peak_bytes_variance, mean_bytes));
      break;
    case By::kTemporary:
      found = made(real(f.temporary_bytes), real_blocks(f.temporary_count), f.temporary_samples);
      found.error = share_of(found.blocks, error_of_temporary(f, site.missed_temporary));
      break;
    case By::kGrowth:
      return growth(site, mean_bytes);
    case By::kAllocated:
      found.error = share_of(found.bytes, error_of_allocated(f, mean_bytes));
      break;
    case By::kCount:
      found.error = share_of(found.blocks, error_of_blocks(f, site.missed_blocks));
      break;
  }
  return found;
}

bool counts_blocks(By by) { return by == By::kCount || by == By::kTemporary; }

double rank(const Estimate& estimate, By by) { return counts_blocks(by) ? estimate.blocks : estimate.bytes; }

void add(Site& sum, const Site& site) {
  reader::add(sum.figures, site.figures);
  reader::add(sum.before, site.before);
  sum.live_variance += site.live_variance;
  sum.before_variance += site.before_variance;
  sum.common_variance += site.common_variance;
  sum.missed_blocks += site.missed_blocks;
  sum.missed_temporary += site.missed_temporary;
}

void sort_by(Sites& sites, By by) {
  const auto rank_of = [&](const Site& site) { return rank(estimate(site, by, sites.mean_bytes), by); };
  std::erase_if(sites.sites, [&](const Site& site) { return !(rank_of(site) > 0); });
  std::stable_sort(sites.sites.begin(), sites.sites.end(),
                   [&](const Site& a, const Site& b) { return rank_of(a) > rank_of(b); });
}

// The k-th class is of lives shorter than 4^k microseconds; the last one has no end.
std::optional<Span> median_lifetime(const StackFigures& figures, double duration) {
  double total = 0;
  for (const uint64_t count : figures.lifetimes) total += real(count);
  if (total == 0) return std::nullopt;
  const double wanted = std::max(1.0, std::ceil(total / 2));
  double below = 0;
  for (uint32_t k = 0; k < kLifetimes; ++k) {
    const double here = real(figures.lifetimes[k]);
    if (here > 0 && wanted <= below + here) {
      const double low = k == 0 ? 0 : std::ldexp(kMicroseconds, 2 * (static_cast<int>(k) - 1));
      const double high = k + 1 == kLifetimes ? duration : std::ldexp(kMicroseconds, 2 * static_cast<int>(k));
      return Span{std::min(low, duration), std::min(high, duration)};
    }
    below += here;
  }
  return std::nullopt;
}

std::vector<Lifetimes> lifetimes(const StackFigures& figures) {
  double total = 0;
  for (const uint64_t count : figures.lifetimes) total += real(count);
  std::vector<Lifetimes> classes;
  for (uint32_t k = 0; k < kLifetimes; ++k) {
    if (figures.lifetimes[k] == 0) continue;
    const bool open = k + 1 == kLifetimes;
    classes.push_back({open ? std::nullopt : std::optional(std::ldexp(kMicroseconds, 2 * static_cast<int>(k))),
                       real(figures.lifetimes[k]) / total});
  }
  return classes;
}

std::optional<double> elsewhere_share(const StackFigures& figures) {
  if (figures.freed_count == 0) return std::nullopt;
  return real(figures.elsewhere_count) / real(figures.freed_count);
}

std::optional<double> temporary_share(const StackFigures& figures) {
  if (figures.alloc_count == 0) return std::nullopt;
  return real(figures.temporary_count) / real(figures.alloc_count);
}

uint64_t Latencies::calls() const { return std::accumulate(std::begin(histogram_), std::end(histogram_), uint64_t{0}); }

double Latencies::slowest() const { return real(slowest_) * kNanoseconds; }

std::optional<Span> Latencies::quantile(double q) const {
  const double total = real(calls());
  if (total == 0) return std::nullopt;
  const double wanted = std::clamp(std::ceil(q * total), 1.0, total);
  double below = 0;
  for (uint32_t k = 0; k < kLatencies; ++k) {
    const double here = real(histogram_[k]);
    const double low = k == 0 ? 0 : std::ldexp(kNanoseconds, static_cast<int>(k));
    const double high = k + 1 == kLatencies ? slowest() : std::ldexp(kNanoseconds, static_cast<int>(k) + 1);
    if (here > 0 && wanted <= below + here) return Span{std::min(low, slowest()), std::min(high, slowest())};
    below += here;
  }
  return std::nullopt;
}

std::vector<Latencies::Class> Latencies::classes() const {
  std::vector<Class> classes;
  for (uint32_t k = 0; k < kLatencies; ++k)
    if (histogram_[k] != 0) classes.push_back({std::ldexp(kNanoseconds, static_cast<int>(k) + 1), histogram_[k]});
  return classes;
}

}  // namespace heapster::report
