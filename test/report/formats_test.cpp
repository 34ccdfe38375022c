// SPDX-License-Identifier: MIT
//
// Each format is read by the program that users read it with: promtool, ms_print, a JSON parser.

#include "report/formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.h"
#include "reader/load.h"
#include "report/json.h"
#include "report/stacks_report.h"
#include "report/units.h"
#include "stack_tables.h"
#include "synthetic.h"

namespace heapster::report {
namespace {

reader::Snapshot loaded(const test::Segment& segment) { return *reader::load(reader::MemorySource(segment.bytes())); }
reader::Snapshot busy() { return loaded(test::busy_segment()); }

nlohmann::json json_of(const test::Segment& segment) { return nlohmann::json::parse(render_json(loaded(segment))); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Json, HasTheShapeThatIsPromised) {
  const auto json = json_of(test::busy_segment());
  EXPECT_EQ(json["schema"], "heapster/1");
  EXPECT_EQ(json["process"]["pid"], 4242);
  EXPECT_EQ(json["process"]["start_time"], 1'700'000'000.0);
  EXPECT_EQ(json["process"]["state"], "exited");
  EXPECT_EQ(json["stats"]["alloc_count"], 2540);
  EXPECT_EQ(json["stats"]["realloc_shrink_avg"], nullptr);
  EXPECT_EQ(json["scopes"], nlohmann::json::array());
  EXPECT_EQ(json["coverage"]["verdict"], "full");
  EXPECT_EQ(json["coverage"]["reasons"], nlohmann::json::array());
  EXPECT_EQ(json["threads"][1]["tid"], 4243);
  EXPECT_EQ(json["threads"][1]["stats"]["use_max"], nullptr);
  EXPECT_EQ(json["notes"][0]["name"], "option_refused");
  EXPECT_EQ(json["timeline"]["columns"][0], "time");
  EXPECT_EQ(json["timeline"]["points"].size(), 21u);
}

TEST(Json, HistogramsAre64CountsAndWhatIsBesides) {
  test::Segment segment;
  segment.add_slot(1, "a");
  test::count_malloc(segment.now(0), 0, 24);
  test::count_malloc(segment.now(0), 64, 72);
  segment.live_at_peak(7) = {5, 360};
  const auto stats = json_of(segment)["stats"];
  EXPECT_EQ(stats["alloc_histogram_zero"], 1);
  EXPECT_EQ(stats["alloc_histogram"][6], 1);
  EXPECT_EQ(stats["alloc_histogram_bytes"][6], 64);
  EXPECT_EQ(stats["live_histogram"][4], 1);
  EXPECT_EQ(stats["live_at_peak_histogram"][6], 5);
  for (const char* name :
       {"alloc", "dealloc", "realloc_growth", "realloc_shrink", "realloc_move", "live", "live_at_peak"}) {
    EXPECT_EQ(stats[std::string(name) + "_histogram"].size(), 64u) << name;
    EXPECT_EQ(stats[std::string(name) + "_histogram_bytes"].size(), 64u) << name;
    EXPECT_TRUE(stats[std::string(name) + "_histogram_zero"].is_number()) << name;
  }
}

TEST(Json, WhatAFileLacksIsNullAndWhatWeDoNotKnowIsListed) {
  test::Segment segment = test::busy_segment();
  std::strcpy(segment.field("alloc").name, "mystery");
  const auto json = json_of(segment);
  EXPECT_EQ(json["stats"]["alloc_count"], nullptr);
  EXPECT_EQ(json["stats"]["alloc_histogram"], nullptr);
  EXPECT_EQ(json["stats"]["slack"], nullptr);
  EXPECT_EQ(json["unknown"][0]["name"], "mystery");
  EXPECT_EQ(json["unknown"][0]["count"], 2540);
}

TEST(Json, SurvivesBytesThatAreNotText) {
  test::Segment segment;
  segment.add_text(Text::k_command, std::string_view("a\xff\xfe\0\"b\n\0", 8));
  const auto command = json_of(segment)["process"]["command"];
  EXPECT_EQ(command[0], "a\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(command[1], "\"b\n");
}

// Every text of a file, all of it of the kind that no output may show as it is.
constexpr std::string_view kHostile = "=1\xc0\xaf\xed\xa0\x80\u202e\u0085\x1b[31m\u2028\x7f<";

Exported hostile(reader::Snapshot& snapshot, reader::Names& names) {
  const std::string text(kHostile);
  reader::Process& process = snapshot.process;
  for (std::string* each : {&process.executable, &process.label, &process.allocator, &process.snapshot_path})
    *each = text;
  process.command = {text, text + "\n"};
  process.options = process.refused = {text};
  snapshot.notes.push_back({text, reader::Effect::partial, 1, text});
  snapshot.stats.unnamed.push_back({text, text, false, {}});
  snapshot.timeline.columns.push_back({text, text});
  for (auto& point : snapshot.timeline.points) point.push_back(1);
  for (reader::Thread& thread : snapshot.threads) thread.name = text;
  reader::Arena arena;
  arena.name = text;
  snapshot.arenas.push_back(arena);
  snapshot.scopes.push_back({text, {}, snapshot.stats, snapshot.stats});
  for (reader::Module& module : snapshot.stacks->modules) module.path = "/lib/" + text;
  for (const reader::Stack& stack : snapshot.stacks->stacks)
    names.set(stack.frames.front(), {{text, text, 1}, {text + "2", "", 0}});
  return {snapshot, &names, Weight::kLive};
}

TEST(EveryFormat, ShowsNothingThatSteers) {
  test::Segment segment = test::busy_segment();
  reader::Snapshot snapshot = *reader::load(reader::MemorySource(test::busy_stacks().behind(segment)));
  reader::Names names(*snapshot.stacks);
  const Exported exported = hostile(snapshot, names);
  std::vector<std::pair<std::string, std::string>> outputs;
  for (const Format& format : kFormats)
    if (format.name != "pprof") outputs.emplace_back(format.name, format.render(exported));
  outputs.emplace_back("report", render_text(make_report(snapshot, {.threads = true, .timeline = true})));
  StacksAnswer answer{.by = By::kLive, .sites = make_sites(snapshot, names)};
  outputs.emplace_back("stacks", render_text({.title = "", .sections = {sites_section(answer)}}));
  outputs.emplace_back("stacks as JSON", json_text(sites_json(answer)));
  for (const auto& [name, text] : outputs) {
    for (const std::string& line : lines_of(text)) {
      const bool safe = printable(line) == line || printable(line) == "\x09" + line;
      ASSERT_TRUE(safe) << name << ": " << printable(line);
    }
    EXPECT_NE(text.find("[31m"), std::string::npos) << name << ": it tells what it can";
  }
}

// A program may load a plugin where it had another one before; readers of addresses alone must not mix them up.
TEST(Heap, GivesEachObjectAPlaceOfItsOwn) {
  test::StackTables tables(1);
  const uint64_t start = 0x7ffff7000000;
  std::vector<uint32_t> stacks;
  for (const char* path : {"/lib/first.so", "/lib/second.so", "/lib/third.so"}) {
    const uint16_t module = tables.add_module(path, start, start + 0x5000, start, 0);
    stacks.push_back(tables.add_stack({{module, start + 0x1010}, {module, start + 0x2020}}));
    tables.keep(stacks.back(), 100 * tables.modules.size(), 1);
  }
  test::Segment segment = test::busy_segment();
  const reader::Snapshot snapshot = *reader::load(reader::MemorySource(tables.behind(segment)));
  const reader::Names names(*snapshot.stacks);
  struct Mapped {
    uint64_t start, end;
    std::string path;
  };
  std::vector<Mapped> mapped;
  std::vector<std::pair<uint64_t, std::vector<uint64_t>>> found;  // live bytes, addresses
  for (const std::string& line : lines_of(render_heap({snapshot, &names, Weight::kLive}))) {
    Mapped each{};
    char path[64];
    if (std::sscanf(line.c_str(), "%lx-%lx r-xp 00000000 00:00 0 %63s", &each.start, &each.end, path) == 3)
      mapped.push_back({each.start, each.end, path});
    const size_t at = line.find("@ 0x");
    if (at == std::string::npos) continue;
    std::istringstream words(line.substr(at + 1));
    auto& stack =
        found.emplace_back(std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10), std::vector<uint64_t>());
    for (std::string word; words >> word;) stack.second.push_back(std::strtoull(word.c_str(), nullptr, 16));
  }
  ASSERT_EQ(mapped.size(), 3u);
  ASSERT_EQ(found.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].first, 100 * (i + 1));
    for (const uint64_t address : found[i].second)
      for (const Mapped& each : mapped)
        EXPECT_EQ(address >= each.start && address < each.end, each.path == snapshot.stacks->modules[i].path)
            << each.path;
    EXPECT_EQ(found[i].second[0] - mapped[i].start, 0x100fu);
    EXPECT_EQ(found[i].second[1] - mapped[i].start, 0x2020u);
  }
}

TEST(Csv, HoldsNoFormula) {
  test::Segment segment = test::busy_segment();
  int number = 0;
  for (const char* name : {"=1+1", "+1", "-1", "@a", "\tb", "\rc"}) {
    reader::Snapshot snapshot = loaded(segment);
    snapshot.stats.unnamed = {{name, "bytes", false, {}}};
    const std::string last = lines_of(render_csv(snapshot)).back();
    EXPECT_EQ(last[0], '\'') << name;
    ++number;
  }
  EXPECT_EQ(number, 6);
}

TEST(OpenMetrics, KeepsTheLinesOfALabel) {
  test::Segment segment = test::busy_segment();
  reader::Snapshot snapshot = loaded(segment);
  snapshot.process.label = "one\ntwo\\\"\x1b";
  EXPECT_NE(render_openmetrics(snapshot).find(",label=\"one\\ntwo\\\\\\\"?\"}"), std::string::npos);
}

TEST(Csv, IsOneLongTable) {
  const auto lines = lines_of(render_csv(busy()));
  EXPECT_EQ(lines.front(), "name,unit,kind,low,high,value");
  for (const std::string& line : lines) EXPECT_EQ(std::count(line.begin(), line.end(), ','), 5) << line;
  const auto has = [&](const char* line) { return std::find(lines.begin(), lines.end(), line) != lines.end(); };
  EXPECT_TRUE(has("alloc_count,calls,flow,,,2540"));
  EXPECT_TRUE(has("realloc_shrink_avg,bytes,ratio,,,"));
  EXPECT_TRUE(has("alloc_histogram,calls,flow,64,127,1000"));
  EXPECT_TRUE(has("alloc_histogram_bytes,bytes,flow,64,127,100000"));
}

TEST(OpenMetrics, PassesPromtool) {
  const auto ran = test::run_shell("promtool check metrics", render_openmetrics(busy()));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out + ran.err, "");
}

TEST(OpenMetrics, PassesPromtoolWithHostileLabels) {
  test::Segment segment = test::busy_segment();
  segment.add_text(Text::k_label, "quote \" back \\ line \n byte \xff");
  const std::string text = render_openmetrics(loaded(segment));
  EXPECT_NE(text.find("label=\"quote \\\" back \\\\ line \\n byte ?\""), std::string::npos);
  EXPECT_EQ(test::run_shell("promtool check metrics", text).code, 0);
}

// Prometheus's own OpenMetrics parser; importing wants a time on each sample, and a directory.
TEST(OpenMetrics, IsImportedByPrometheus) {
  std::string timed;
  for (const std::string& line : lines_of(render_openmetrics(busy())))
    timed += line.starts_with('#') ? line + "\n" : line + " 1700000000\n";
  const auto ran = test::run_shell(
      "d=$(mktemp -d); cat >$d/in; promtool tsdb create-blocks-from openmetrics $d/in $d; c=$?; "
      "rm -r $d; exit $c",
      timed);
  EXPECT_EQ(ran.code, 0) << ran.err;
}

// What promtool does not ask for: no family twice, TYPE before UNIT before HELP, the end marked.
TEST(OpenMetrics, KeepsTheRulesOfVersionOne) {
  const std::string text = render_openmetrics(busy());
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
  std::vector<std::string> families;
  std::string last;
  for (const std::string& line : lines_of(text)) {
    std::istringstream words(line);
    std::string hash, kind, name;
    words >> hash >> kind >> name;
    if (hash != "#") {
      EXPECT_TRUE(line.starts_with(families.back())) << line;
      EXPECT_EQ(last, "HELP");
      continue;
    }
    if (kind == "TYPE") {
      EXPECT_EQ(std::count(families.begin(), families.end(), name), 0) << name;
      families.push_back(name);
    } else if (kind == "UNIT") {
      EXPECT_EQ(last, "TYPE");
      EXPECT_TRUE(name.ends_with(line.substr(line.rfind(' ') + 1))) << line;
    }
    last = kind;
  }
  EXPECT_GT(families.size(), 20u);
}

TEST(OpenMetrics, BucketsAreCumulativeWithCanonicalBounds) {
  const auto lines = lines_of(render_openmetrics(busy()));
  const auto has = [&](const std::string& text) {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) { return line.ends_with(text); });
  };
  EXPECT_TRUE(has(",le=\"0.0\"} 0"));
  EXPECT_TRUE(has(",le=\"31.0\"} 1500"));
  EXPECT_TRUE(has(",le=\"127.0\"} 2500"));
  EXPECT_TRUE(has(",le=\"1.048575e+06\"} 2540"));
  EXPECT_TRUE(has(",le=\"+Inf\"} 2540"));
}

TEST(Massif, IsReadByMsPrint) {
  const auto ran = test::run_shell("ms_print /dev/stdin", render_massif({busy()}));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("Number of snapshots: 24"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("(peak)"), std::string::npos);
  EXPECT_NE(ran.out.find("4,140,320"), std::string::npos);
}

TEST(Massif, StandsWithoutATimeline) {
  EXPECT_EQ(test::run_shell("ms_print /dev/stdin", render_massif({loaded(test::Segment())})).code, 0);
}

// A snapshot with stacks whose names nobody found, or are what the test says.
struct WithStacks {
  explicit WithStacks(const test::StackTables& tables = test::busy_stacks())
      : segment(test::busy_segment()),
        snapshot(*reader::load(reader::MemorySource(tables.behind(segment)))),
        names(*snapshot.stacks) {}

  void call(size_t stack, const std::string& function) {
    names.set(snapshot.stacks->stacks[stack].frames[0], {{function, "", 0, true}});
  }
  Exported exported(Weight by = Weight::kLive) const { return {snapshot, &names, by}; }

  test::Segment segment;
  reader::Snapshot snapshot;
  reader::Names names;
};

TEST(Folded, TellsPlacesWhereNamesAreNotKnown) {
  const auto lines = lines_of(render_folded(WithStacks().exported()));
  const std::vector<std::string> expected{
      "[cut off];program+0x1040;0x7fffe0001000 600000",
      "program+0x1040;program+0x1030;libcache.so.1+0x2020;libcache.so.1+0x1010 20971520",
      "program+0x1040;program+0x2010 2097152"};
  EXPECT_EQ(lines, expected);
}

TEST(Folded, NamesCannotLookLikeMoreStacksOrLines) {
  WithStacks with;
  with.call(1, "one;two\nthree 7");
  EXPECT_NE(render_folded(with.exported()).find("program+0x1040;one,two?three 7 2097152\n"), std::string::npos);
}

TEST(Folded, StacksThatReadTheSameAreOne) {
  WithStacks with;
  for (const size_t stack : {1u, 2u}) with.call(stack, "same");
  EXPECT_NE(render_folded(with.exported(Weight::kCount)).find("program+0x1040;same 819202\n"), std::string::npos);
}

TEST(Stacks, BlocksWithoutOneAreTold) {
  test::StackTables tables = test::busy_stacks();
  tables.samples[0].stack = kNoStack;
  const WithStacks with(tables);
  EXPECT_NE(render_folded(with.exported()).find("[no stack taken] 524288\n"), std::string::npos);
  EXPECT_NE(render_heap(with.exported()).find("\n128: 524288 [128: 524288] @ 0x0\n"), std::string::npos);
}

TEST(Heap, IsNotScaledUpByItsReaders) {
  const auto lines = lines_of(render_heap(WithStacks().exported()));
  EXPECT_EQ(lines[0], "heap profile: 5128: 23668672 [825608: 81340352] @ heapprofile");
  EXPECT_EQ(lines[1], "5120: 20971520 [6400: 26214400] @ 0x7ffff700100f 0x7ffff7002020 0x555555555030 0x555555555040");
  EXPECT_EQ(lines.back(), "7ffff7000000-7ffff7100000 r-xp 00000000 00:00 0 /usr/lib/libcache.so.1");
}

TEST(Dhat, HasNoStackTwice) {
  test::StackTables tables = test::busy_stacks();
  tables.modules[0] = tables.modules[1];  // it came again
  tables.stacks.push_back(tables.stacks[0]);
  const auto json = nlohmann::json::parse(render_dhat(WithStacks(tables).exported()));
  ASSERT_EQ(json["pps"].size(), 4u);
  std::vector<nlohmann::json> stacks;
  for (const auto& point : json["pps"]) {
    EXPECT_EQ(std::count(stacks.begin(), stacks.end(), point["fs"]), 0);
    stacks.push_back(point["fs"]);
  }
}

TEST(Dhat, LifetimesAreThoseOfItsClasses) {
  const auto json = nlohmann::json::parse(render_dhat(WithStacks().exported()));
  const auto& points = json["pps"];
  const auto busy = std::find_if(points.begin(), points.end(), [](auto& point) { return point["tbk"] == 819200; });
  ASSERT_NE(busy, points.end());
  EXPECT_EQ((*busy)["tl"], 2 * 819200);  // class 1: shorter than 4 µs
}

// The synthetic program's counted level is far below what its stacks hold, and ms_print dies of a tree that is larger.
TEST(Massif, TreesAreNoLargerThanTheLevel) {
  const WithStacks with;
  const auto ran = test::run_shell("ms_print --threshold=0 /dev/stdin", render_massif(with.exported()));
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_NE(ran.out.find("libcache.so.1+0x1010 (in /usr/lib/libcache.so.1)"), std::string::npos) << ran.out;
  EXPECT_EQ(ran.out.find("not in the estimates"), std::string::npos);
}

TEST(Massif, WhatTheEstimatesLackIsTold) {
  const test::StackTables none(512 * 1024);
  const std::string text = render_massif(WithStacks(none).exported());
  EXPECT_NE(text.find("heap_tree=peak\nn1: "), std::string::npos);
  EXPECT_NE(text.find("(not in the estimates)"), std::string::npos);
  EXPECT_EQ(test::run_shell("ms_print /dev/stdin", text).code, 0);
}

TEST(Flamegraph, NamesCannotBecomeMarkup) {
  WithStacks with;
  with.call(1, "</script><script>alert(1)</script>");
  const std::string page = render_flamegraph(with.exported());
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_NE(page.find("\\u003c/script>\\u003cscript>alert(1)"), std::string::npos);
}

TEST(Speedscope, HasAProfileForEachWeight) {
  const auto json = nlohmann::json::parse(render_speedscope(WithStacks().exported(Weight::kPeak)));
  EXPECT_EQ(json["activeProfileIndex"], 3);
  ASSERT_EQ(json["profiles"].size(), kWeights.size());
  EXPECT_EQ(json["profiles"][0]["endValue"], 20971520 + 2097152 + 600000);
  EXPECT_EQ(json["profiles"][0]["samples"].size(), 3u);
}

TEST(Formats, SurviveStacksWithoutAnything) {
  const test::StackTables none(1);
  const WithStacks with(none);
  for (const Format& format : kFormats) EXPECT_FALSE(format.render(with.exported()).empty() && format.name != "folded");
}

}  // namespace
}  // namespace heapster::report
