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

struct Wishes {
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

void add_options(CLI::App& application, Wishes& wishes) {
  application.add_option("FILE|PID", wishes.files, "a snapshot or a process; with --growth an earlier and a later one")
      ->required();
  application.add_option("--by", wishes.by, by_help())->type_name("ORDER");
  application.add_option("-n,--limit", wishes.answer.limit, "how many sites (default: 20)")
      ->check(CLI::Range(0, kMost));
  application.add_option("--depth", wishes.answer.depth, "how many functions of each (default: 12)")
      ->check(CLI::Range(0, kMost));
  application.add_flag("--leaks", wishes.leaks, "what is live, with --suppressions left out");
  application.add_option("--suppressions", wishes.suppressions, "a file of leak:PATTERN lines, for --leaks");
  application.add_flag("--temporary", wishes.temporary, "the same as --by temporary");
  application.add_flag("--growth", wishes.growth, "what is live in the second snapshot and was not in the first");
  application.add_flag("--tree", wishes.tree, "as a tree, from the outermost function inwards");
  application.add_flag("--callees", wishes.callees, "the tree from the allocating function outwards");
  application.add_option("--function", wishes.selection.function, "only stacks through functions like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--module", wishes.selection.module, "only stacks through objects like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--scope", wishes.selection.scope, "only what was allocated in scopes like PATTERN")
      ->type_name("PATTERN");
  application.add_option("--thread", wishes.selection.thread, "only live blocks of threads like PATTERN, or number")
      ->type_name("PATTERN");
  application.add_option("--size", wishes.size, "only live blocks of this many usable bytes")->type_name("MIN[:MAX]");
  application.add_option("--only", wishes.only, "nothing but the functions of the stacks with these numbers")
      ->type_name("NUMBER,…")
      ->delimiter(',')
      ->allow_extra_args(false);
  application.add_option("--format", wishes.format, "text or json")->check(CLI::IsMember({"text", "json"}));
  add_symbol_options(application, wishes.symbols);
}

Result<reader::Done> read_size(Wishes& wishes) {
  if (!wishes.size) return reader::Done{};
  const std::string& text = *wishes.size;
  const size_t colon = text.find(':');
  const auto least = report::parse_size(text.substr(0, colon));
  const bool open = colon == std::string::npos || colon + 1 == text.size();
  const auto most = open ? std::optional<int64_t>(INT64_MAX) : report::parse_size(text.substr(colon + 1));
  if (!least || !most || *least < 0 || *most < *least) return Error{"--size: not MIN[:MAX]: " + text};
  wishes.selection.least_size = static_cast<uint64_t>(*least);
  wishes.selection.most_size = static_cast<uint64_t>(*most);
  return reader::Done{};
}

Result<By> by_of(const Wishes& wishes) {
  if (wishes.by.empty()) return wishes.temporary ? By::kTemporary : wishes.growth ? By::kGrowth : By::kLive;
  std::vector<std::string_view> names;
  for (const report::ByInfo& info : report::kBys) {
    if (info.name == wishes.by) return info.by;
    names.push_back(info.name);
  }
  return Error{fmt::format("--by: no order '{}'{}; there are {}", wishes.by, did_you_mean(wishes.by, names),
                           fmt::join(names, ", "))};
}

Result<reader::Done> read_words(Wishes& wishes) {
  const Result<By> by = by_of(wishes);
  if (!by) return by.error();
  wishes.answer.by = *by;
  wishes.answer.leaks = wishes.leaks;
  wishes.growth |= *by == By::kGrowth;
  if (wishes.growth != (wishes.files.size() == 2) || wishes.files.size() > 2)
    return Error{wishes.growth ? "--growth needs two snapshots" : "one snapshot; --growth compares two"};
  if (wishes.temporary && *by != By::kTemporary) return Error{"--temporary has an order of its own"};
  if (!wishes.only.empty() && wishes.growth) return Error{"--only is of one snapshot, without --growth"};
  if ((wishes.growth && *by != By::kGrowth) || (wishes.leaks && *by != By::kLive))
    return Error{wishes.leaks ? "--leaks are ordered by live bytes" : "--growth has an order of its own"};
  if (!wishes.suppressions.empty() && !wishes.leaks) return Error{"--suppressions is of use with --leaks only"};
  if (Result<reader::Done> size = read_size(wishes); !size) return size;
  const bool by_live = *by == By::kLive || *by == By::kGrowth;
  if (wishes.selection.live_only() && !by_live) return Error{"--thread and --size choose among live blocks only"};
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
  Question(const std::vector<reader::Snapshot>& snapshots, Wishes& wishes)
      : snapshots_(snapshots), wishes_(wishes), symbolizer_(wishes.symbols) {}

  void ask() {
    for (const reader::Snapshot& snapshot : snapshots_) names_.push_back(symbolizer_.names(*snapshot.stacks));
    report::StacksAnswer& answer = wishes_.answer;
    answer.total = report::total_of(sites({}), answer.by);
    answer.counted = report::counted(snapshots_.back(), answer.by);
    if (wishes_.growth && answer.counted)
      if (const auto before = report::counted(snapshots_.front(), answer.by)) *answer.counted -= *before;
    if (answer.by == By::kPeak) answer.near_peak = report::near_peak_text(snapshots_.back());
    answer.incomplete = snapshots_.back().stacks->dropped() > 0;
    answer.sites = sites(wishes_.selection);
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
  Wishes& wishes_;
  ProgressSymbolizer symbolizer_;
  std::vector<reader::Names> names_;
};

report::Direction direction_of(const Wishes& wishes) {
  return wishes.callees ? report::Direction::kCallees : report::Direction::kCallers;
}

std::string text_of(const std::vector<reader::Snapshot>& snapshots, const Wishes& wishes,
                    const std::vector<std::string>& troubles) {
  const report::StacksAnswer& answer = wishes.answer;
  report::Report text = report::make_head(snapshots.back());
  text.sections.push_back(report::sampling_section(snapshots.back()));
  text.sections.push_back(wishes.tree || wishes.callees ? report::tree_section(answer, direction_of(wishes))
                                                        : report::sites_section(answer));
  if (!troubles.empty()) text.sections.push_back({.title = "Names that are missing or uncertain"});
  for (const std::string& trouble : troubles) text.sections.back().lines.push_back(report::printable(trouble));
  return report::render_text(text, look_of(STDOUT_FILENO));
}

std::string json_of(const std::vector<reader::Snapshot>& snapshots, const Wishes& wishes,
                    const std::vector<std::string>& troubles) {
  const report::StacksAnswer& answer = wishes.answer;
  report::Json json{{"schema", "heapster-stacks/1"},
                    {"process", report::to_json(snapshots.back().process)},
                    {"sampling", report::sampling_json(snapshots.back())},
                    {"at_peak", report::at_peak_json(snapshots.back())}};
  json.update(report::sites_json(answer));
  if (wishes.tree || wishes.callees)
    json["tree"] = report::tree_json(report::make_tree(answer.sites, answer.by, direction_of(wishes)));
  json["missing"] = troubles;
  return report::json_text(json);
}

// The functions of some stacks, in the order in which they are asked for, each with an empty line behind it. A stack
// that is not there has no functions. heapster/testing.hpp asks for this.
std::string names_of(const reader::Stacks& all, const Wishes& wishes) {
  reader::Stacks wanted;
  wanted.modules = all.modules;
  for (const uint32_t number : wishes.only) {
    const uint32_t place = number < all.places.size() ? all.places[number] : kNoStack;
    wanted.stacks.push_back(place != kNoStack ? all.stacks[place] : reader::Stack{});
  }
  ProgressSymbolizer symbolizer(wishes.symbols);
  const reader::Names names = symbolizer.names(wanted);
  std::string text;
  for (const reader::Stack& stack : wanted.stacks) {
    const auto lines = report::way_to(report::steps_of(stack, wanted, names), wishes.answer.depth);
    for (const std::string& line : lines) text += line + '\n';
    text += '\n';
  }
  return text;
}

}  // namespace

Outcome cmd_stacks(const Arguments& arguments) {
  CLI::App application("Tells who holds the memory: sampled stacks, by what was allocated there.", "heapster stacks");
  Wishes wishes;
  add_options(application, wishes);
  if (auto over = parse(application, arguments)) return *over;
  if (const auto read = read_words(wishes); !read) return read.error();

  std::vector<reader::Snapshot> snapshots;
  for (const std::string& file : wishes.files) {
    Result<reader::Snapshot> snapshot = load_with_stacks(file);
    if (!snapshot) return snapshot.error();
    snapshots.push_back(std::move(*snapshot));
  }
  if (!wishes.only.empty()) return print(names_of(*snapshots.back().stacks, wishes));
  report::Suppressions suppressions;
  if (!wishes.suppressions.empty()) {
    Result<report::Suppressions> read = read_suppressions(wishes.suppressions);
    if (!read) return read.error();
    suppressions = std::move(*read);
  }
  if (wishes.growth) {
    const reader::Process &earlier = snapshots.front().process, &later = snapshots.back().process;
    if (reader::same_process(earlier, later) && earlier.duration > later.duration)
      return Error{one_line(wishes.files[0]) + ": is the later one of these snapshots; the earlier one comes first"};
    const std::string before = reader::short_name(earlier), now = reader::short_name(later);
    if (before != now)
      fmt::print(stderr, "heapster: these are different programs: {} and {}\n", one_line(before), one_line(now));
  }
  Question question(snapshots, wishes);
  question.ask();
  if (wishes.leaks) suppress(suppressions, wishes.answer);
  return print(wishes.format == "json" ? json_of(snapshots, wishes, question.troubles())
                                       : text_of(snapshots, wishes, question.troubles()));
}

}  // namespace heapster::tool
