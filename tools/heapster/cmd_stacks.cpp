// SPDX-License-Identifier: MIT
//
// heapster stacks: who holds the memory. Names are looked up here, on the machine of whoever asks.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "report/stacks_report.h"
#include "report/suppressions.h"
#include "report/units.h"
#include "symbol_options.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

using reader::Error;
using reader::Result;
using report::By;

constexpr int kMost = 1'000'000'000;  // sites, or functions

struct StacksOptions {
  std::vector<std::string> files;
  std::string by;
  std::string suppressions, format = "text";
  std::optional<std::string> size;
  std::vector<uint32_t> only;
  bool leaks = false, temporary = false, growth = false, tree = false, callees = false;
  report::Selection selection;
  report::StacksAnswer answer;
  SymbolOptions symbols;
};

std::string by_help() {
  std::string text = "what sites are ordered by:";
  for (const report::ByInfo& info : report::kBys)
    text += fmt::format("{} {} ({})", info.by == By::kLive ? "" : ",", info.name, info.help);
  return text;
}

void add_options(CLI::App& application, StacksOptions& options) {
  application
      .add_option("FILE|PID", options.files, "a snapshot or a process; with --growth an earlier and a later one")
      ->required();
  application.add_option("--by", options.by, by_help())->type_name("ORDER");
  application.add_option("-n,--limit", options.answer.limit, "how many sites (default: 20)")
      ->check(CLI::Range(0, kMost));
  application.add_option("--depth", options.answer.depth, "how many functions of each (default: 12)")
      ->check(CLI::Range(0, kMost));
  application.add_flag("--leaks", options.leaks, "what is live, with --suppressions left out");
  application.add_option("--suppressions", options.suppressions, "a file of leak:PATTERN lines, for --leaks");
  application.add_flag("--temporary", options.temporary, "the same as --by temporary");
  application.add_flag("--growth", options.growth, "what is live in the second snapshot and was not in the first");
  application.add_flag("--tree", options.tree, "as a tree, from the outermost function inwards");
  application.add_flag("--callees", options.callees, "the tree from the allocating function outwards");
  application.add_option("--function", options.selection.function, "only stacks through functions like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--module", options.selection.module, "only stacks through objects like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--scope", options.selection.scope, "only what was allocated in scopes like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--thread", options.selection.thread, "only live blocks of threads like PATTERN, or number")
      ->type_name("PATTERN");
  application.add_option("--size", options.size, "only live blocks of this many usable bytes")->type_name("MIN[:MAX]");
  application.add_option("--only", options.only, "nothing but the functions of the stacks with these numbers")
      ->type_name("NUMBER,…")
      ->delimiter(',')
      ->allow_extra_args(false);
  application.add_option("--format", options.format, "text or json")->check(CLI::IsMember({"text", "json"}));
  add_symbol_options(application, options.symbols);
}

Result<reader::Done> read_size_range(StacksOptions& options) {
  if (!options.size) return reader::Done{};
  const std::string& text = *options.size;
  const size_t colon = text.find(':');
  const auto least = report::parse_size(text.substr(0, colon));
  const bool open = colon == std::string::npos || colon + 1 == text.size();
  const auto most = open ? std::optional<int64_t>(INT64_MAX) : report::parse_size(text.substr(colon + 1));
  if (!least || !most || *least < 0 || *most < *least)
    return Error{"--size: invalid range '" + text + "': expected MIN[:MAX], e.g. 4K:64K"};
  options.selection.least_size = static_cast<uint64_t>(*least);
  options.selection.most_size = static_cast<uint64_t>(*most);
  return reader::Done{};
}

Result<By> by_of(const StacksOptions& options) {
  if (options.by.empty()) return options.temporary ? By::kTemporary : options.growth ? By::kGrowth : By::kLive;
  std::vector<std::string_view> names;
  for (const report::ByInfo& info : report::kBys) {
    if (info.name == options.by) return info.by;
    names.push_back(info.name);
  }
  return Error{fmt::format("--by: no order '{}'{}; there are {}", options.by, did_you_mean(options.by, names),
                           fmt::join(names, ", "))};
}

Result<reader::Done> read_words(StacksOptions& options) {
  const Result<By> by = by_of(options);
  if (!by) return by.error();
  options.answer.by = *by;
  options.answer.leaks = options.leaks;
  options.growth |= *by == By::kGrowth;
  if (options.growth != (options.files.size() == 2) || options.files.size() > 2)
    return Error{options.growth ? "--growth needs two snapshots" : "one snapshot; --growth compares two"};
  if (options.temporary && *by != By::kTemporary) return Error{"--temporary has an order of its own"};
  if (!options.only.empty() && options.growth) return Error{"--only is of one snapshot, without --growth"};
  if ((options.growth && *by != By::kGrowth) || (options.leaks && *by != By::kLive))
    return Error{options.leaks ? "--leaks are ordered by live bytes" : "--growth has an order of its own"};
  if (!options.suppressions.empty() && !options.leaks) return Error{"--suppressions is of use with --leaks only"};
  if (Result<reader::Done> size = read_size_range(options); !size) return size;
  const bool by_live = *by == By::kLive || *by == By::kGrowth;
  if (options.selection.live_only() && !by_live) return Error{"--thread and --size choose among live blocks only"};
  return reader::Done{};
}

Result<reader::Snapshot> load_with_stacks(const std::string& argument) {
  Result<reader::Snapshot> snapshot = load_argument(argument);
  if (snapshot && !snapshot->stacks)
    return Error{argument + ": has no stacks; they are there where the program ran with HEAPSTER_STACKS"};
  return snapshot;
}

Result<report::Suppressions> read_suppressions(const std::string& path) {
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) return Error{one_line(path) + ": cannot be read"};
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Result<report::Suppressions> parsed = report::Suppressions::parse(text);
  return parsed ? parsed : Error{path + ": " + parsed.error().text};
}

void suppress(const report::Suppressions& suppressions, report::StacksAnswer& answer) {
  std::erase_if(answer.sites.sites, [&](const report::Site& site) {
    if (!suppressions.match(site)) return false;
    ++answer.suppressed;
    answer.suppressed_bytes += report::estimate(site, answer.by, answer.sites.mean_bytes).bytes;
    return true;
  });
}

// Sites of the snapshots that were given, one or two.
class Question {
 public:
  Question(const std::vector<reader::Snapshot>& snapshots, StacksOptions& options)
      : snapshots_(snapshots), options_(options), symbolizer_(options.symbols) {}

  void ask() {
    for (const reader::Snapshot& snapshot : snapshots_) names_.push_back(symbolizer_.names(*snapshot.stacks));
    report::StacksAnswer& answer = options_.answer;
    answer.total = report::total_of(sites({}), answer.by);
    answer.counted = report::counted(snapshots_.back(), answer.by);
    if (options_.growth && answer.counted)
      if (const auto before = report::counted(snapshots_.front(), answer.by)) *answer.counted -= *before;
    if (answer.by == By::kPeak) answer.near_peak = report::near_peak_text(snapshots_.back());
    answer.incomplete = snapshots_.back().stacks->dropped() > 0;
    answer.sites = sites(options_.selection);
    answer.net = report::net_of(answer.sites, answer.by);
    report::sort_by(answer.sites, answer.by);
  }

  const std::vector<std::string>& troubles() const { return symbolizer_.troubles(); }

 private:
  report::Sites sites(const report::Selection& selection) const {
    report::Sites last = report::make_sites(snapshots_.back(), names_.back(), selection);
    if (snapshots_.size() == 1) return last;
    return report::compare(report::make_sites(snapshots_.front(), names_.front(), selection), last,
                           reader::same_process(snapshots_.front().process, snapshots_.back().process));
  }

  const std::vector<reader::Snapshot>& snapshots_;
  StacksOptions& options_;
  ProgressSymbolizer symbolizer_;
  std::vector<reader::Names> names_;
};

report::Direction direction_of(const StacksOptions& options) {
  return options.callees ? report::Direction::kCallees : report::Direction::kCallers;
}

std::string text_of(const std::vector<reader::Snapshot>& snapshots, const StacksOptions& options,
                    const std::vector<std::string>& troubles) {
  const report::StacksAnswer& answer = options.answer;
  report::Report text = report::make_head(snapshots.back());
  text.sections.push_back(report::sampling_section(snapshots.back()));
  text.sections.push_back(options.tree || options.callees ? report::tree_section(answer, direction_of(options))
                                                          : report::sites_section(answer));
  if (!troubles.empty()) text.sections.push_back({.title = "Names that are missing or uncertain"});
  for (const std::string& trouble : troubles) text.sections.back().lines.push_back(report::printable(trouble));
  return report::render_text(text, look_of(STDOUT_FILENO));
}

std::string json_of(const std::vector<reader::Snapshot>& snapshots, const StacksOptions& options,
                    const std::vector<std::string>& troubles) {
  const report::StacksAnswer& answer = options.answer;
  report::Json json{{"schema", "heapster-stacks/1"},
                    {"process", report::to_json(snapshots.back().process)},
                    {"sampling", report::sampling_json(snapshots.back())},
                    {"at_peak", report::at_peak_json(snapshots.back())}};
  json.update(report::sites_json(answer));
  if (options.tree || options.callees)
    json["tree"] = report::tree_json(report::make_tree(answer.sites, answer.by, direction_of(options)));
  json["missing"] = troubles;
  return report::json_text(json);
}

// The functions of some stacks, in the order in which they are asked for, each with an empty line behind it. A stack
// that is not there has no functions. heapster/testing.hpp asks for this.
std::string names_of(const reader::Stacks& all, const StacksOptions& options) {
  reader::Stacks wanted;
  wanted.modules = all.modules;
  for (const uint32_t number : options.only) {
    const uint32_t place = number < all.places.size() ? all.places[number] : kNoStack;
    wanted.stacks.push_back(place != kNoStack ? all.stacks[place] : reader::Stack{});
  }
  ProgressSymbolizer symbolizer(options.symbols);
  const reader::Names names = symbolizer.names(wanted);
  std::string text;
  for (const reader::Stack& stack : wanted.stacks) {
    const auto lines = report::way_to(report::steps_of(stack, wanted, names), options.answer.depth);
    for (const std::string& line : lines) text += line + '\n';
    text += '\n';
  }
  return text;
}

}  // namespace

Outcome cmd_stacks(const Arguments& arguments) {
  CLI::App application("Tells who holds the memory: sampled stacks, by what was allocated there.", "heapster stacks");
  StacksOptions options;
  add_options(application, options);
  if (auto over = parse(application, arguments)) return *over;
  if (const auto read = read_words(options); !read) return read.error();

  std::vector<reader::Snapshot> snapshots;
  for (const std::string& file : options.files) {
    Result<reader::Snapshot> snapshot = load_with_stacks(file);
    if (!snapshot) return snapshot.error();
    snapshots.push_back(std::move(*snapshot));
  }
  if (!options.only.empty()) return print(names_of(*snapshots.back().stacks, options));
  report::Suppressions suppressions;
  if (!options.suppressions.empty()) {
    Result<report::Suppressions> read = read_suppressions(options.suppressions);
    if (!read) return read.error();
    suppressions = std::move(*read);
  }
  if (options.growth) {
    const reader::Process &earlier = snapshots.front().process, &later = snapshots.back().process;
    if (reader::same_process(earlier, later) && earlier.duration > later.duration)
      return Error{one_line(options.files[0]) + ": is the later one of these snapshots; the earlier one comes first"};
    const std::string before = reader::short_name(earlier), now = reader::short_name(later);
    if (before != now)
      fmt::print(stderr, "heapster: these are different programs: {} and {}\n", one_line(before), one_line(now));
  }
  Question question(snapshots, options);
  question.ask();
  if (options.leaks) suppress(suppressions, options.answer);
  return print(options.format == "json" ? json_of(snapshots, options, question.troubles())
                                        : text_of(snapshots, options, question.troubles()));
}

}  // namespace heapster::tool
