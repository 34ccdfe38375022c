// SPDX-License-Identifier: MIT
//
// A site is headed by the function that a person would go and look at, then come its figures, the surest first, then
// the stack. An estimate never stands without its error.

#include "report/stacks_report.h"

#include <fmt/format.h>

#include <cmath>

#include "reader/path.h"
#include "report/culprit.h"
#include "report/units.h"

namespace heapster::report {

namespace {

using reader::Snapshot;
using reader::StackFigures;

constexpr size_t kNameWidth = 120;    // templates' names have no end
constexpr double kLeastShare = 0.01;  // of the whole, for a tree's branch or a class of lifetimes to be shown

std::string counted(double number) { return count_text(whole(number)); }
std::string sized(double number) { return bytes_text(whole(number)); }
std::string sized(uint64_t number) { return bytes_text(static_cast<int64_t>(number)); }
std::string counted(uint64_t number) { return count_text(static_cast<int64_t>(number)); }

std::string plural(double number, std::string_view noun) {
  return fmt::format("{} {}{}", counted(number), noun, whole(number) == 1 ? "" : "s");
}

std::string amount(double number, By by) { return counts_blocks(by) ? counted(number) : sized(number); }

std::string ranked(double number, By by) {
  constexpr std::string_view kWords[] = {"live",      "allocated", "allocations", "live near the peak",
                                         "temporary", "more live"};
  return fmt::format("{}{} {}", by == By::kGrowth ? "+" : "", amount(number, by), kWords[static_cast<size_t>(by)]);
}

std::string sure(const Estimate& estimate, By by) {
  if (!estimate.error) return "error not known";
  return *estimate.error > 0 ? "± " + amount(rank(estimate, by) * *estimate.error, by) : "";
}

// Where blocks stand beside an estimate of bytes. That of a change in blocks is off by more than it is, mostly.
std::string blocks_text(const Estimate& estimate, By by) {
  const bool is_unsure = by == By::kGrowth && estimate.error != 0;
  return counts_blocks(by) || is_unsure ? "" : plural(estimate.blocks, "block");
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += (text.empty() ? "" : " · ") + part;
  return text;
}

std::string place_of(const Step& step) {
  if (!step.file.empty()) return fmt::format("  {}:{}", printable(reader::last_part(step.file.str())), step.line);
  return step.known && !step.module.empty() ? "  in " + printable(step.module.str()) : "";
}

std::string step_text(const Step& step) {
  return shortened(printable(step.function.str()), kNameWidth) + place_of(step);
}

std::string figures_line(const Site& site, const StacksAnswer& answer) {
  const Estimate found = estimate(site, answer.by, answer.sites.mean_bytes);
  const double all = rank(answer.total, answer.by);
  return joined({ranked(rank(found, answer.by), answer.by), share_text(rank(found, answer.by), all),
                 sure(found, answer.by), blocks_text(found, answer.by), plural(found.samples, "sample"),
                 found.uncertain() ? (found.samples < 4 ? "uncertain: few samples" : "uncertain") : ""});
}

// How long freed blocks lived, and who freed them.
std::string freed_text(const StackFigures& figures, double duration) {
  std::vector<std::string> parts;
  if (const auto half = median_lifetime(figures, duration))
    parts.push_back("half freed within " + brief_text(half->high));
  if (const auto share = elsewhere_share(figures); share && *share > 0)
    parts.push_back(share_text(*share, 1) + " freed by another thread");
  return joined(parts);
}

std::string history_line(const Site& site, By by, double duration) {
  const StackFigures& f = site.figures;
  std::vector<std::string> parts;
  if (by == By::kGrowth)
    parts.push_back(fmt::format("{} live before, {} now", sized(site.before.live_bytes()), sized(f.live_bytes())));
  if (by != By::kLive && by != By::kGrowth) parts.push_back(sized(f.live_bytes()) + " live");
  if (by != By::kAllocated && f.freed_count > 0)
    parts.push_back(fmt::format("{} allocated in {}", sized(f.alloc_bytes),
                                plural(static_cast<double>(blocks_of(f.alloc_count)), "block")));
  parts.push_back(freed_text(f, duration));
  if (const auto share = temporary_share(f); share && *share > 0) parts.push_back(share_text(*share, 1) + " temporary");
  return joined(parts);
}

// The classes of a histogram of lifetimes that have a hundredth of the blocks at least.
std::string lifetimes_line(const StackFigures& figures) {
  std::vector<std::string> parts;
  for (const Lifetimes& each : lifetimes(figures)) {
    if (each.share < kLeastShare) continue;
    parts.push_back(share_text(each.share, 1) + (each.below ? " < " + brief_text(*each.below) : " longer"));
  }
  return parts.empty() ? "" : "lived: " + joined(parts);
}

void add_stack(std::vector<std::string>& lines, const Site& site, size_t depth) {
  for (size_t i = 0; i < site.steps.size(); ++i) {
    if (i == depth) {
      lines.push_back(fmt::format("        … {} more", site.steps.size() - depth));
      break;
    }
    lines.push_back("        " + step_text(site.steps[i]));
  }
  if (site.truncated) lines.push_back("        (its outermost functions were not reached)");
}

void add_site(std::vector<std::string>& lines, const Site& site, const StacksAnswer& answer, size_t number) {
  const Step* who = culprit(site);
  lines.push_back(fmt::format("{:>3}. {}", number, who != nullptr ? step_text(*who) : "(no stack was taken)"));
  lines.push_back("     " + figures_line(site, answer));
  for (const std::string& line : {history_line(site, answer.by, answer.sites.duration), lifetimes_line(site.figures)})
    if (!line.empty()) lines.push_back("     " + line);
  add_stack(lines, site, answer.depth);
}

std::string title_of(const StacksAnswer& answer) {
  return answer.leaks ? "Live blocks by stack" : fmt::format("Sites by {}", info_of(answer.by).title);
}

void draw(std::vector<std::string>& lines, const Node& node, double all, By by, const std::string& indent) {
  size_t hidden = 0;
  double rest = 0;
  for (const Node& child : node.children) {
    if (child.value < kLeastShare * all) {
      ++hidden;
      rest += child.value;
      continue;
    }
    lines.push_back(fmt::format("{:>8}  {:>9}  {}{}", share_text(child.value, all), amount(child.value, by), indent,
                                step_text(child.step)));
    // A chain without a branch stays in its column.
    const bool single = child.children.size() == 1 && node.children.size() == 1;
    draw(lines, child, all, by, single ? indent : indent + "  ");
  }
  if (hidden > 0)
    lines.push_back(fmt::format("{:>8}  {:>9}  {}… {} more", share_text(rest, all), amount(rest, by), indent, hidden));
}

std::string span_text(const Span& span) { return brief_text(span.low) + ".." + brief_text(span.high); }

std::string latency_text(std::string_view name, const Latencies& latencies) {
  const auto half = latencies.quantile(0.5), most = latencies.quantile(0.99);
  if (!half || !most) return "";
  return fmt::format("{} p50 {}, p99 {}, max {} of {}", name, span_text(*half), span_text(*most),
                     brief_text(latencies.slowest()), plural(static_cast<double>(latencies.calls()), "call"));
}

template <typename Counts>
Estimate sum_of(const Sites& sites, By by, Counts counts) {
  Site sum;
  for (const Site& site : sites.sites)
    if (counts(estimate(site, by, sites.mean_bytes))) add(sum, site);
  return estimate(sum, by, sites.mean_bytes);
}

// "+5 MiB more live" says it already; a net figure may be below zero.
std::string net_text(const Estimate& net) {
  return fmt::format("{}{} in all{}", net.bytes >= 0 ? "+" : "-", sized(std::abs(net.bytes)),
                     net.error > 0 ? " ± " + sized(std::abs(net.bytes) * *net.error) : "");
}

// First what is known for certain.
std::string counted_text(const StacksAnswer& answer) {
  if (!answer.counted) return "";
  const std::string sign = answer.by != By::kGrowth ? "" : *answer.counted < 0 ? "-" : "+";
  const auto size = std::abs(static_cast<double>(*answer.counted));
  return sign + amount(size, answer.by) + " counted in all";
}

// What is shown of how much, and what is not.
std::string remark_of(const StacksAnswer& answer) {
  const Estimate chosen = total_of(answer.sites, answer.by);
  const double all = rank(answer.total, answer.by);
  const auto is_less = [](double a, double b) { return a < b * (1 - 1e-9); };  // not by the order of a sum
  const bool narrowed = is_less(rank(chosen, answer.by), all);
  const bool shrank = answer.by == By::kGrowth && is_less(answer.net.bytes, chosen.bytes);
  return joined({counted_text(answer), shrank ? net_text(answer.net) : "",
                 ranked(rank(chosen, answer.by), answer.by) + (shrank ? " where it grew" : "") +
                     (narrowed ? " of " + amount(all, answer.by) : std::string()),
                 sure(chosen, answer.by), blocks_text(chosen, answer.by),
                 plural(static_cast<double>(answer.sites.sites.size()), "stack"),
                 answer.incomplete ? "incomplete: tables were full" : "", answer.near_peak});
}

void add_left_out(std::vector<std::string>& lines, const StacksAnswer& answer) {
  if (answer.sites.of_ended.samples > 0)
    lines.push_back("left out: " + sized(answer.sites.of_ended.live_bytes()) +
                    " live of threads that have ended and left no name");
  if (answer.suppressed > 0)
    lines.push_back(fmt::format("suppressed: {} in {}", sized(answer.suppressed_bytes),
                                plural(static_cast<double>(answer.suppressed), "stack")));
}

}  // namespace

Estimate total_of(const Sites& sites, By by) {
  return sum_of(sites, by, [&](const Estimate& part) { return rank(part, by) > 0; });
}

Estimate net_of(const Sites& sites, By by) {
  return sum_of(sites, by, [](const Estimate&) { return true; });
}

std::optional<int64_t> counted(const Snapshot& snapshot, By by) {
  const reader::Stats& stats = snapshot.stats;
  switch (by) {
    case By::kLive:
    case By::kGrowth:
      return stats.use.curr.value();
    case By::kAllocated:
      return (stats.usable.bytes() + stats.realloc_growth.bytes()).value();
    case By::kCount:
      return stats.alloc.count().value();
    case By::kPeak:
      return snapshot.at_peak.use_curr;
    case By::kTemporary:
      return stats.temporary_count.value();
  }
  return std::nullopt;
}

std::vector<std::string> way_to(std::vector<Step> steps, size_t depth) {
  const Site site{.steps = std::move(steps)};
  std::vector<std::string> lines;
  const Step* last = site.steps.data() + site.steps.size();
  for (const Step* step = culprit(site); step != nullptr && step != last && lines.size() < depth; ++step)
    lines.push_back(step_text(*step));
  return lines;
}

Section sites_section(const StacksAnswer& answer) {
  Section section{.title = title_of(answer), .remark = remark_of(answer)};
  const std::vector<Site>& sites = answer.sites.sites;
  if (sites.empty()) section.lines.push_back("none");
  for (size_t i = 0; i < sites.size() && i < answer.limit; ++i) add_site(section.lines, sites[i], answer, i + 1);
  if (sites.size() > answer.limit)
    section.lines.push_back("… " + plural(static_cast<double>(sites.size() - answer.limit), "more stack"));
  if (answer.leaks && !sites.empty())
    section.lines.push_back("live is not lost for certain: heapster does not look for pointers to it");
  add_left_out(section.lines, answer);
  return section;
}

Section tree_section(const StacksAnswer& answer, Direction direction) {
  const Node root = make_tree(answer.sites, answer.by, direction);
  Section section{.title = direction == Direction::kCallers ? "From the outermost function inwards"
                                                            : "From the allocating function outwards",
                  .remark = remark_of(answer)};
  draw(section.lines, root, root.value, answer.by, "");
  if (section.lines.empty()) section.lines.push_back("none");
  add_left_out(section.lines, answer);
  return section;
}

Section sampling_section(const Snapshot& snapshot) {
  if (!snapshot.stacks) return {};
  const reader::Stacks& stacks = *snapshot.stacks;
  const Sampling& s = stacks.sampling;
  Section section{.title = "Sampled stacks"};
  section.remark = s.mean_bytes <= 1 ? "every allocation" : fmt::format("one sample in {}", sized(s.mean_bytes));
  const StackFigures total = stacks.total();
  section.lines.push_back(
      joined({plural(static_cast<double>(total.samples), "sample") + " in " +
                  plural(static_cast<double>(stacks.stacks.size()), "stack"),
              counted(stacks.samples.size()) + " live",
              stacks.without_stack() > 0 ? counted(stacks.without_stack()) + " without a stack" : "",
              s.samples_dropped > 0 ? counted(s.samples_dropped) + " dropped, table full" : "",
              s.stacks_dropped > 0 ? counted(s.stacks_dropped) + " without their stack, table full" : "",
              s.modules_dropped > 0 ? counted(s.modules_dropped) + " objects dropped, table full" : "",
              stacks.damaged > 0 ? counted(stacks.damaged) + " damaged" : ""}));
  if (const auto inherited = snapshot.stats.live_at_fork.bytes().value(); inherited && *inherited > 0)
    section.lines.push_back(sized(static_cast<double>(*inherited)) +
                            " came from the parent when this process was forked, without a stack");
  const std::string latencies = joined({latency_text("next malloc", {s.malloc_nanoseconds, s.malloc_slowest}),
                                        latency_text("next free", {s.free_nanoseconds, s.free_slowest})});
  for (const std::string& line : {latencies, freed_text(total, snapshot.process.duration), lifetimes_line(total)})
    if (!line.empty()) section.lines.push_back(line);
  return section;
}

}  // namespace heapster::report
