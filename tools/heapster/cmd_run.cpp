// SPDX-License-Identifier: MIT
//
// heapster run: starts a program under libheapster.so, waits, and reports. Whatever happens here,
// the program's exit status is handed on; only a budget that it broke turns a 0 into a 1.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "budget_options.h"
#include "layout/failures.h"
#include "layout/signals.h"
#include "layout/sizes.h"
#include "reader/executable.h"
#include "reader/load.h"
#include "report/formats.h"
#include "report/json.h"
#include "report/units.h"
#include "run_child.h"
#include "run_collect.h"
#include "run_parts.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

struct RunOptions {
  std::string output;
  std::string signal;
  std::string stacks;
  std::string limit;
  std::string fail;
  std::string label;
  std::string run_directory;
  std::string allocator;
  bool quiet = false;
  std::string json;       // where the report goes as JSON: a file, or - for stderr; empty: it is none
  std::string report_to;  // a file; empty: stderr
  bool threads = false;
  bool no_follow = false;
  bool verbose = false;
  report::Budgets budgets;
};

// An option whose value may be left out shows it in brackets.
class Help : public CLI::Formatter {
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, is_positional);
    const size_t preset = name.find('{');
    if (preset == std::string::npos) return name;
    return name.substr(0, preset) + (option->check_lname("json") ? "[=FILE]" : "[=SIZE]");
  }
};

void say(const std::string& text) { fmt::print(stderr, "heapster-run: {}\n", one_line(text)); }

void add_options(CLI::App& application, RunOptions& options) {
  application.prefix_command();
  application.formatter(std::make_shared<Help>());
  application.set_version_flag("--version", HEAPSTER_VERSION);
  application.add_option("-o,--output", options.output, "where the snapshot goes (HEAPSTER_OUT); none: nowhere");
  application.add_flag("-q,--quiet", options.quiet, "no report");
  application.add_flag("--json{-}", options.json,
                       "the report as JSON; to a file, unmixed with what the program prints");
  application.add_option("--report-to", options.report_to, "where the report goes instead of stderr")
      ->type_name("FILE");
  application.add_flag("--threads", options.threads, "a table of the threads in the report");
  application.add_option("--signal", options.signal, "dump signal, or none (HEAPSTER_SIGNAL)");
  application.add_flag(
      "--stacks{512K}", options.stacks,
      "sample stacks, one in so many bytes on average, 512K where no size is given; 1: every allocation\n"
      "(HEAPSTER_STACKS)");
  application.add_option("--limit", options.limit,
                         "limit on live bytes of each process; allocations beyond it fail (HEAPSTER_LIMIT)");
  application.add_option("--fail", options.fail,
                         "let allocations fail: every:N, nth:N, prob:P[,seed:N] or size>BYTES (HEAPSTER_FAIL)");
  application.add_flag("--no-follow", options.no_follow,
                       "do not measure children and exec'd programs (HEAPSTER_FOLLOW=0)");
  application.add_option("--label", options.label, "a name that the report carries along (HEAPSTER_LABEL)");
  application.add_option("--run-dir", options.run_directory, "where live segments lie (HEAPSTER_RUN_DIR)");
  application.add_option("--allocator", options.allocator,
                         "run over jemalloc, mimalloc, tcmalloc, or the one in a file");
  application.add_flag("--verbose", options.verbose,
                       "one line at the start and the end of each process (HEAPSTER_VERBOSE)");
  add_budget_options(application, options.budgets);
  application.footer(
      "The report goes to stderr; the exit status is the program's (128+n for signal n), or 1 if it\n"
      "succeeded but broke a budget. Options end at the program's name, or at --.\n");
}

// What follows the options; a word like an option that we do not know is none of the program's.
reader::Result<std::vector<std::string>> command_of(std::vector<std::string> rest, const Arguments& arguments) {
  const bool separated = !rest.empty() && rest[0] == "--";
  if (separated) rest.erase(rest.begin());
  const bool after_separator =
      separated || std::find(arguments.begin(), arguments.end() - static_cast<long>(rest.size()), "--") !=
                       arguments.end() - static_cast<long>(rest.size());
  if (rest.empty()) return reader::Error{"no program to run (heapster-run --help)"};
  if (rest[0].starts_with("-") && !after_separator) {
    return reader::Error{fmt::format("no option '{}' (heapster-run --help lists them)", rest[0])};
  }
  return rest;
}

std::string variable_or(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

std::string pattern_of(const RunOptions& options) {
  return options.output.empty() ? variable_or("HEAPSTER_OUT", "heapster.%e.%p.heap") : options.output;
}

// A relative pattern as an absolute one: each image of the program starts where the one before has gone, and all their
// snapshots belong here.
std::string from_here(const std::string& pattern) {
  std::error_code error;
  std::string path = std::filesystem::current_path(error);
  if (error || pattern == "none" || pattern.starts_with('/')) return pattern;
  for (size_t at = 0; (at = path.find('%', at)) != std::string::npos; at += 2) path.insert(at, "%");
  path += "/" + pattern;
  return path.size() < PATH_MAX ? path : pattern;
}

constexpr const char* kToStderr = "-";

// Where the report goes; empty: to stderr.
std::string report_file(const RunOptions& options) {
  return options.json.empty() || options.json == kToStderr ? options.report_to : options.json;
}

// Before the program has run for hours.
std::optional<reader::Error> cannot_write(const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) return reader::Error{fmt::format("{}: {}", path, std::strerror(errno))};
  close(file);
  return {};
}

// A snapshot's name that leads into a directory that is not there, or is one itself.
std::optional<reader::Error> no_place_for(const std::string& pattern) {
  if (pattern.empty() || pattern == "none" || pattern.find('%') < pattern.find_last_of('/') + 1) return {};
  std::error_code error;
  if (std::filesystem::is_directory(pattern, error))
    return reader::Error{fmt::format("--output: '{}' is a directory: expected e.g. {}", pattern,
                                     (std::filesystem::path(pattern) / "%e.%p.heap").string())};
  const std::filesystem::path directory = std::filesystem::path(pattern).parent_path();
  if (directory.empty() || std::filesystem::is_directory(directory, error)) return {};
  return reader::Error{fmt::format("--output: no directory '{}'", directory.string())};
}

// What the preload would ignore is refused here: a bad option is not a bad variable.
std::optional<reader::Error> refusal(const RunOptions& options) {
  if (!options.signal.empty() && parse_signal(options.signal) < 0) {
    return reader::Error{fmt::format("--signal: no dump signal '{}'", options.signal)};
  }
  if (!options.stacks.empty() && parse_size(options.stacks) == 0) {
    return reader::Error{"--stacks: " + report::invalid_size_text(options.stacks)};
  }
  if (!options.limit.empty() && parse_size(options.limit) == 0) {
    return reader::Error{"--limit: " + report::invalid_size_text(options.limit)};
  }
  if (!options.fail.empty() && parse_failures(options.fail).rule == Rule::kNone) {
    return reader::Error{
        fmt::format("--fail: '{}' is none of every:N, nth:N, prob:P[,seed:N], size>BYTES", options.fail)};
  }
  if (!options.json.empty() && options.json != kToStderr && !options.report_to.empty())
    return reader::Error{"--json=FILE and --report-to: one of them names the file"};
  if (const std::string file = report_file(options); !file.empty())
    if (auto fault = cannot_write(file)) return fault;
  if (auto fault = no_place_for(options.output)) return fault;
  if (!options.run_directory.empty() && options.run_directory[0] != '/') {
    return reader::Error{fmt::format("--run-dir: '{}' is not an absolute path", options.run_directory)};
  }
  return {};
}

Environment environment_of(const RunOptions& options, const std::string& preload) {
  Environment environment{{"LD_PRELOAD", preload}};
  const auto set = [&](const char* name, const std::string& value) {
    if (!value.empty()) environment.emplace_back(name, value);
  };
  set("HEAPSTER_OUT", from_here(pattern_of(options)));
  set("HEAPSTER_SIGNAL", options.signal);
  set("HEAPSTER_STACKS", options.stacks);
  set("HEAPSTER_LIMIT", options.limit);
  set("HEAPSTER_FAIL", options.fail);
  set("HEAPSTER_LABEL", options.label);
  set("HEAPSTER_RUN_DIR", options.run_directory);
  if (options.no_follow) set("HEAPSTER_FOLLOW", "0");
  if (options.verbose) set("HEAPSTER_VERBOSE", "1");
  return environment;
}

Places places_of(const RunOptions& options, const std::string& program) {
  char resolved[PATH_MAX];
  return {.pattern = pattern_of(options),
          .program = realpath(program.c_str(), resolved) != nullptr ? resolved : program};
}

// Nothing, and a line, where it is none that we would use; libheapster.so does not use it, either.
std::optional<reader::HeldDirectory> open_run_directory(const RunOptions& options) {
  auto opened =
      reader::HeldDirectory::make(options.run_directory.empty() ? reader::run_directory() : options.run_directory);
  if (opened) return std::move(*opened);
  say(opened.error().text);
  return std::nullopt;
}

std::string report_text(const Collector& collected, const reader::Snapshot& snapshot, const Places& places,
                        const RunOptions& options, const Ended& ended) {
  const reader::Found& last = collected.images().back();
  report::Report report = report::make_report(snapshot, {.threads = options.threads});
  if (ended.signal != 0 && snapshot.process.life != reader::Life::kDead) {
    report.lines.push_back(fmt::format("ended by signal {} ({})", ended.signal, strsignal(ended.signal)));
  }
  if (collected.descendants() != 0) {
    report.sections.push_back({.title = fmt::format("Descendants, {} in all", collected.descendants()),
                               .table = family_table(collected.families())});
  }
  std::vector<std::string> lines;
  for (size_t i = 0; i + 1 < collected.images().size(); ++i) {
    const reader::Found& image = collected.images()[i];
    lines.push_back(fmt::format("before its exec: {} ({})", reader::short_name(image.snapshot.process), image.path));
  }
  if (places.keep()) lines.push_back("snapshot: " + last.path);
  if (places.keep() && collected.descendants() != 0) {
    lines.push_back("descendants' snapshots: " + collected.descendants_path() + "/");
  }
  if (collected.still_running() != 0) {
    lines.push_back(fmt::format("still running: {} of its descendants (heapster list)", collected.still_running()));
  }
  report.sections.push_back({.title = "Files", .lines = lines});
  return report::render_text(report, report_file(options).empty() ? look_of(STDERR_FILENO) : report::Look());
}

// What the budgets came to.
struct Verdict {
  bool kept = true;
  std::vector<std::string> lines;
};

Verdict verdict_of(const report::Judge& judge, const Collector& collected) {
  const auto broken = judge.broken();
  if (!broken) return {false, {broken.error().text}};
  Verdict verdict{broken->empty(), {}};
  for (const report::Broken& budget : *broken) verdict.lines.push_back("budget broken: " + budget.text);
  const bool alone = judge.processes() == 1 && collected.still_running() == 0;
  if (alone) return verdict;
  verdict.lines.push_back(fmt::format("budgets {} by {}", verdict.kept ? "kept" : "judged", judge.judged_text()));
  if (collected.still_running() != 0)
    verdict.lines.back() += fmt::format(", not by {} that still run", collected.still_running());
  return verdict;
}

std::string report_json(const Collector& collected, const reader::Snapshot& snapshot, const report::Judge& judge,
                        const Verdict& verdict) {
  report::Json whole = report::Json::parse(report::render_json(snapshot));
  whole["descendants"] = report::Json::array();
  for (const Family& family : collected.families()) {
    whole["descendants"].push_back(report::Json{{"executable", report::printable(family.executable)},
                                                {"processes", family.processes},
                                                {"alloc_count", family.allocations},
                                                {"alloc_sum", family.bytes},
                                                {"use_max", family.highest_peak},
                                                {"use_curr", family.live}});
  }
  whole["budgets"] = nullptr;
  if (judge.any())
    whole["budgets"] = {{"kept", verdict.kept}, {"processes", judge.processes()}, {"lines", verdict.lines}};
  return report::json_text(whole);
}

std::string unseen_text(const reader::Unseen& unseen) {
  switch (unseen.fate) {
    case reader::Fate::kLoaded:
      return unseen.why + ": nothing of it will be seen";
    case reader::Fate::kIgnored:
      return unseen.why + ": it runs without libheapster.so";
    case reader::Fate::kRefused:
      break;
  }
  return unseen.why + ": it runs without libheapster.so, and so do its children";
}

void tell_of_descendants(const Collector& collected) {
  report::Report report{.title = "nothing of the program itself"};
  report.sections.push_back({.title = fmt::format("Descendants, {} in all", collected.descendants()),
                             .table = family_table(collected.families())});
  fmt::print(stderr, "{}", report::render_text(report, look_of(STDERR_FILENO)));
}

// What the segment cannot know, since nobody calls the preload: told by the program's symbols.
reader::NoteCount note_of_embedded(const std::string& function) {
  return {.name = "embedded_allocator",
          .effect = reader::Effect::partial,
          .count = 1,
          .text = fmt::format("an allocator is linked into the program ({}); what it serves cannot be seen", function)};
}

// Reports what was collected; the exit status of the whole. `expected`: that nothing is seen has been said.
int tell(const Collector& collected, report::Judge& judge, const std::string& embedded, const Places& places,
         const RunOptions& options, const Ended& ended, bool expected) {
  for (const std::string& trouble : collected.troubles()) say(trouble);
  if (collected.images().empty()) {
    if (!expected) say("nothing was measured: the program did not load libheapster.so, or ended before it could");
    if (collected.descendants() != 0 && !options.quiet && options.json.empty()) tell_of_descendants(collected);
    return ended.status == 0 && options.budgets.any() ? kNo : ended.status;
  }
  reader::Snapshot snapshot = collected.images().back().snapshot;
  if (!snapshot.process.wait_status) reader::tell_end(snapshot, witness_of(ended, snapshot.process));
  const bool never_replaced = collected.images().size() == 1;  // by an exec of something else
  if (!embedded.empty() && never_replaced) snapshot.notes.push_back(note_of_embedded(embedded));
  for (const std::string& refused : snapshot.process.refused) say("ignored, not understood: " + refused);
  for (size_t i = 0; i + 1 < collected.images().size(); ++i) judge.take_other(collected.images()[i].snapshot);
  judge.take_program(snapshot);
  const Verdict verdict = judge.any() ? verdict_of(judge, collected) : Verdict{};
  if (!options.quiet) {
    const std::string file = report_file(options);
    const std::string report = options.json.empty() ? report_text(collected, snapshot, places, options, ended)
                                                    : report_json(collected, snapshot, judge, verdict);
    if (file.empty()) {
      fmt::print(stderr, "{}", report);
    } else if (const Outcome written = write_file(file, report); !written) {
      say(written.error().text);
    }
  }
  if (options.quiet || options.json.empty())
    for (const std::string& line : verdict.lines) say(line);
  return ended.status == 0 && !verdict.kept ? kNo : ended.status;
}

}  // namespace

Outcome cmd_run(const Arguments& arguments) {
  CLI::App application(
      "Runs a program under heapster and reports what it did to its heap:\n"
      "heapster-run [OPTIONS] [--] PROGRAM [ARGUMENT…]",
      "heapster run");
  RunOptions options;
  add_options(application, options);
  if (auto over = parse(application, arguments)) return *over;

  if (const auto refused = refusal(options)) return *refused;
  const auto command = command_of(application.remaining(), arguments);
  if (!command) return command.error();
  auto judge = report::Judge::make(options.budgets);
  if (!judge) return judge.error();
  const auto program = reader::find_program(command->front());
  if (!program) {
    const bool misplaced = !options.stacks.empty() && parse_size(command->front()) != 0;
    return misplaced ? reader::Error{fmt::format("{} (a size is given by --stacks={})", program.error().text,
                                                 command->front())}
                     : program.error();
  }
  const auto allocator =
      options.allocator.empty() ? reader::Result<std::string>("") : find_allocator(options.allocator);
  if (!allocator) return allocator.error();
  const std::string seen = reader::program_behind_loader(*program, *command);
  const auto unseen = reader::why_unseen(seen);
  const auto preload = find_preload(!unseen && brings_own_new(seen, *allocator));
  if (!preload) return preload.error();
  const auto list = preload_list(*preload, *allocator);
  if (!list) return list.error();
  if (unseen) say(unseen_text(*unseen));
  const bool refused_preload = unseen && unseen->fate == reader::Fate::kRefused;

  const Places places = places_of(options, *program);
  Collector collector(places, open_run_directory(options));
  Supervisor supervisor;
  const auto child =
      supervisor.start(*program, *command, refused_preload ? Environment() : environment_of(options, *list));
  if (!child) return child.error();
  collector.begin(*child);
  collector.show_descendants([&](const reader::Snapshot& other) { judge->take_other(other); });
  const Ended ended = supervisor.wait(*child, [&] { collector.drain(); });
  collector.finish(ended);
  return tell(collector, *judge, reader::embedded_allocator(seen), places, options, ended,
              unseen && unseen->fate != reader::Fate::kLoaded);
}

}  // namespace heapster::tool
