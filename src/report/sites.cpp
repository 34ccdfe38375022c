// SPDX-License-Identifier: MIT
//
// The error of an estimate. A block of s bytes is sampled with probability p = 1 − e^(−s/R), where R is the mean
// distance between samples, and stands for 1/p blocks. The sum of such weights over n samples has the variance
// Σ w²·(1 − p), which is known of live blocks, since each has its sample. Of those that were freed only sums are kept:
// with blocks of one size the variance is W²·(1 − p)/n, so that the standard error as a share is √(e^(−s/R) / n), for
// which the average size of a site's blocks is taken.

#include "report/sites.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "report/pattern.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Sample;
using reader::Snapshot;
using reader::StackFigures;

constexpr double kMicroseconds = 1e-6;
constexpr double kNanoseconds = 1e-9;

std::string key_of(const std::vector<Step>& steps) {
  std::string key;
  for (const Step& step : steps)
    key += step.function + '\0' + step.file + '\0' + std::to_string(step.line) + '\0' + step.module + '\0';
  return key;
}

// Sites by their keys, in the order in which they came.
class Gathering {
 public:
  Site& at(std::vector<Step> steps) {
    const auto [place, fresh] = places_.try_emplace(key_of(steps), sites_.size());
    if (fresh) sites_.push_back({.steps = std::move(steps)});
    return sites_[place->second];
  }
  std::vector<Site> take() { return std::move(sites_); }

 private:
  std::vector<Site> sites_;
  std::map<std::string, size_t> places_;
};

bool selected(const std::vector<Step>& steps, const Selection& selection) {
  const auto any = [&](const std::string& pattern, std::string Step::*member) {
    return pattern.empty() ||
           std::any_of(steps.begin(), steps.end(), [&](const Step& step) { return matches(pattern, step.*member); });
  };
  return any(selection.function, &Step::function) && any(selection.module, &Step::module);
}

// Whose a block is; null where that thread has ended and another has its slot: it has left no name.
const reader::Thread* thread_of(const Sample& sample, const Snapshot& snapshot) {
  const auto found = std::find_if(snapshot.threads.begin(), snapshot.threads.end(), [&](const reader::Thread& thread) {
    return thread.slot == sample.slot && thread.generation == sample.generation;
  });
  return found == snapshot.threads.end() ? nullptr : &*found;
}

bool is_wanted(const reader::Thread& thread, const std::string& wanted) {
  return matches(wanted, thread.name) || wanted == std::to_string(thread.tid);
}

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

double relative_error(double bytes, double blocks, double samples, uint64_t mean_bytes) {
  if (mean_bytes <= 1 || samples <= 0 || blocks <= 0) return 0;
  return std::sqrt(std::exp(-bytes / blocks / real(mean_bytes)) / samples);
}

Estimate made(double bytes, double blocks, double samples, uint64_t mean_bytes) {
  return {bytes, blocks, samples, relative_error(bytes, blocks, samples, mean_bytes)};
}

// What a live sample adds to the variance of its site's live bytes.
double variance_of(const Sample& sample) {
  if (sample.weight_count <= kWholeBlock) return 0;
  const double sampled = static_cast<double>(kWholeBlock) / real(sample.weight_count);  // how probably it was
  return real(sample.weight_bytes) * real(sample.weight_bytes) * (1 - sampled);
}

Estimate live(const StackFigures& f, double variance) {
  Estimate estimate{real(f.live_bytes()), real_blocks(f.live_count()), real(f.live_samples()), 0};
  if (estimate.bytes > 0) estimate.error = std::sqrt(variance) / estimate.bytes;
  return estimate;
}

// Of samples at the peak, and of temporary ones, there is no count: they are taken to be as heavy as the others.
double share_of_samples(const StackFigures& f, uint64_t count) {
  if (f.alloc_count == 0 || count == 0) return 0;
  return std::max(1.0, real(f.samples) * real(count) / real(f.alloc_count));
}

double error_bytes(const Estimate& estimate) { return estimate.bytes * estimate.error; }

// Of what was allocated, or freed, from one moment to a later one.
double error_since(uint64_t StackFigures::*bytes, uint64_t StackFigures::*count, uint64_t StackFigures::*samples,
                   const Site& site, uint64_t mean_bytes) {
  const auto since = [&](uint64_t StackFigures::*word) {
    return std::max(0.0, real(site.figures.*word) - real(site.before.*word));
  };
  return error_bytes(made(since(bytes), since(count) / static_cast<double>(kWholeBlock), since(samples), mean_bytes));
}

// Two bounds on the error: what both levels may be off, and within one process what came and went in between.
Estimate growth(const Site& site, uint64_t mean_bytes) {
  const Estimate before = live(site.before, site.before_variance), after = live(site.figures, site.live_variance);
  double error = std::hypot(error_bytes(before), error_bytes(after));
  if (site.continued) {
    const double came =
        error_since(&StackFigures::alloc_bytes, &StackFigures::alloc_count, &StackFigures::samples, site, mean_bytes);
    const double went = error_since(&StackFigures::freed_bytes, &StackFigures::freed_count,
                                    &StackFigures::freed_samples, site, mean_bytes);
    error = std::min(error, std::hypot(came, went));
  }
  Estimate change{after.bytes - before.bytes, after.blocks - before.blocks, after.samples, 0};
  if (change.bytes != 0) change.error = error / std::abs(change.bytes);
  return change;
}

}  // namespace

const ByInfo& info_of(By by) { return kBys[static_cast<size_t>(by)]; }

int64_t blocks_of(uint64_t in_256ths) { return whole(real_blocks(in_256ths)); }

std::vector<Step> steps_of(const reader::Stack& stack, const reader::Stacks& stacks, const reader::Names& names) {
  std::vector<Step> steps;
  for (const reader::Frame& frame : stack.frames) {
    const bool in_module = frame.module < stacks.modules.size();
    const std::string module = in_module ? stacks.modules[frame.module].short_name() : "";
    for (const reader::Location& location : names.of(frame))
      steps.push_back({location.function, location.file, location.line, module, location.known});
  }
  return steps;
}

Sites make_sites(const Snapshot& snapshot, const reader::Names& names, const Selection& selection) {
  const reader::Stacks& stacks = *snapshot.stacks;
  Gathering gathering;
  StackFigures of_ended;
  std::vector<std::vector<Step>> steps(stacks.stacks.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i] = steps_of(stacks.stacks[i], stacks, names);
    const bool inside = in_scope(stacks.stacks[i].scope, snapshot, selection.scope);
    if (selection.live_only() || !inside || !selected(steps[i], selection)) continue;
    Site& site = gathering.at(steps[i]);
    site.truncated |= stacks.stacks[i].truncated;
    add(site.figures, stacks.stacks[i].figures);
  }
  for (const Sample& sample : stacks.samples) {
    if (!in_scope(sample.stack ? stacks.stacks[*sample.stack].scope : 0, snapshot, selection.scope)) continue;
    const std::vector<Step>& taken = sample.stack ? steps[*sample.stack] : std::vector<Step>();
    if (!selected(taken, selection) || !selected(sample, selection)) continue;
    const reader::Thread* thread = selection.thread.empty() ? nullptr : thread_of(sample, snapshot);
    if (!selection.thread.empty() && (thread == nullptr || !is_wanted(*thread, selection.thread))) {
      if (thread == nullptr) add_live(of_ended, sample);
      continue;
    }
    Site& site = gathering.at(taken);
    site.live_variance += variance_of(sample);
    // What has a stack is in its figures already, unless these are of no use.
    if (!sample.stack || selection.live_only()) add_live(site.figures, sample);
  }
  return {gathering.take(), stacks.sampling.mean_bytes, snapshot.process.duration, of_ended};
}

Sites compare(const Sites& before, const Sites& after, bool same_process) {
  Gathering gathering;
  for (const Site& site : after.sites) gathering.at(site.steps) = site;
  for (const Site& site : before.sites) {
    Site& now = gathering.at(site.steps);
    now.before = site.figures;
    now.before_variance = site.live_variance;
  }
  Sites sites{gathering.take(), std::max(before.mean_bytes, after.mean_bytes), after.duration, after.of_ended};
  for (Site& site : sites.sites) site.continued = same_process;
  return sites;
}

Estimate estimate(const Site& site, By by, uint64_t mean_bytes) {
  const StackFigures& f = site.figures;
  switch (by) {
    case By::kLive:
      return live(f, site.live_variance);
    case By::kPeak:
      return made(real(f.peak_bytes), real_blocks(f.peak_count), share_of_samples(f, f.peak_count), mean_bytes);
    case By::kTemporary: {
      const double blocks = real_blocks(f.temporary_count);
      const double average = f.alloc_count > 0 ? real(f.alloc_bytes) / real_blocks(f.alloc_count) : 0;
      return made(blocks * average, blocks, share_of_samples(f, f.temporary_count), mean_bytes);
    }
    case By::kGrowth:
      return growth(site, mean_bytes);
    case By::kAllocated:
    case By::kCount:
      break;
  }
  return made(real(f.alloc_bytes), real_blocks(f.alloc_count), real(f.samples), mean_bytes);
}

bool counts_blocks(By by) { return by == By::kCount || by == By::kTemporary; }

double rank(const Estimate& estimate, By by) { return counts_blocks(by) ? estimate.blocks : estimate.bytes; }

void sort_by(Sites& sites, By by) {
  const auto rank_of = [&](const Site& site) { return rank(estimate(site, by, sites.mean_bytes), by); };
  std::erase_if(sites.sites, [&](const Site& site) { return !(rank_of(site) > 0); });
  std::stable_sort(sites.sites.begin(), sites.sites.end(),
                   [&](const Site& a, const Site& b) { return rank_of(a) > rank_of(b); });
}

// The k-th class is of lives shorter than 4^k microseconds; the last one has no end.
std::optional<double> median_lifetime(const StackFigures& figures, double duration) {
  double total = 0;
  for (const uint64_t count : figures.lifetimes) total += real(count);
  if (total == 0) return std::nullopt;
  const double wanted = std::max(1.0, std::ceil(total / 2));
  double below = 0;
  for (uint32_t k = 0; k < kLifetimes; ++k) {
    const double here = real(figures.lifetimes[k]);
    if (here > 0 && wanted <= below + here) {
      const double low = k == 0 ? 0 : std::ldexp(1.0, 2 * (static_cast<int>(k) - 1));
      const double high = k + 1 == kLifetimes ? low : std::ldexp(1.0, 2 * static_cast<int>(k));
      return std::min((low + (high - low) * (wanted - below) / here) * kMicroseconds, duration);
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

std::optional<double> Latencies::quantile(double q) const {
  const double total = real(calls());
  if (total == 0) return std::nullopt;
  const double wanted = std::clamp(std::ceil(q * total), 1.0, total);
  double below = 0;
  for (uint32_t k = 0; k < kLatencies; ++k) {
    const double here = real(histogram_[k]);
    const double low = k == 0 ? 0 : std::ldexp(1.0, static_cast<int>(k));
    const double high = std::ldexp(1.0, static_cast<int>(k) + 1);
    if (here > 0 && wanted <= below + here)
      return std::min((low + (high - low) * (wanted - below) / here) * kNanoseconds, slowest());
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
