// SPDX-License-Identifier: MIT
//
// What a program reads of itself is what it did, is what the report from outside says, and is nothing without heapster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "layout/bucket.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

using testing::HasSubstr;

class Inside : public testing::Test {
 protected:
  std::map<std::string, int64_t> run(const std::string& scenario, const Variables& more = {}) {
    const Ended ended = sandbox_.run_measured({program_path("inside"), scenario}, more);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return facts(ended.out);
  }
  const reader::Scope* scope(const reader::Snapshot& snapshot, const std::string& path) {
    const auto found = std::find_if(snapshot.scopes.begin(), snapshot.scopes.end(),
                                    [&](const reader::Scope& scope) { return scope.path == path; });
    EXPECT_NE(found, snapshot.scopes.end()) << path;
    return found != snapshot.scopes.end() ? &*found : nullptr;
  }
  int64_t allocated(const reader::Snapshot& snapshot, const std::string& path) {
    const reader::Scope* found = scope(snapshot, path);
    return found != nullptr ? figure(found->own, "alloc_count") : -1;
  }
  Sandbox sandbox_;
};

void expect_work(std::map<std::string, int64_t> told) {
  EXPECT_EQ(told["alloc_count"], 10);
  EXPECT_EQ(told["alloc_sum"], 1000);
  EXPECT_EQ(told["alloc_histogram"], 10);
  EXPECT_EQ(told["dealloc_count"], 7);
  EXPECT_EQ(told["realloc_count"], 1);
  EXPECT_EQ(told["realloc_growth_count"], 1);
  EXPECT_EQ(told["live_change"], 3);
  EXPECT_GE(told["use_change"], 1200);
}

TEST_F(Inside, MeasuresAFunction) {
  auto told = run("measure");
  EXPECT_EQ(told["active"], 1);
  expect_work(told);
}

TEST_F(Inside, MeasuresAThreadWhateverOthersDo) { expect_work(run("measure_thread")); }

// What is remembered of an allocator's sizes is what it would say.
class Over : public Inside, public testing::WithParamInterface<const char*> {};

TEST_P(Over, UsableBytesAreTheAllocatorsOwn) {
  auto told = run("usable", {{"LD_PRELOAD", preload_path() + GetParam()}});
  EXPECT_GT(told["said"], 36'000 * 1000);
  EXPECT_EQ(told["use_change"], told["said"]);
  EXPECT_EQ(told["after"], -told["said"]);
}

std::string allocator_of(const testing::TestParamInfo<const char*>& test) {
  constexpr const char* kNames[] = {"libc", "jemalloc", "mimalloc", "tcmalloc"};
  return kNames[test.index];
}

INSTANTIATE_TEST_SUITE_P(Allocators, Over,
                         testing::Values("", ":libjemalloc.so.2", ":libmimalloc.so.2", ":libtcmalloc_minimal.so.4"),
                         allocator_of);

TEST_F(Inside, IsInactiveWithoutHeapster) {
  const Ended ended = sandbox_.run({program_path("inside"), "measure"});
  EXPECT_EQ(ended.exit_code, 0);
  for (const auto& [name, value] : facts(ended.out)) EXPECT_EQ(value, 0) << name;
  for (const char* scenario : {"scopes", "scopes_of_threads", "many_scopes", "odd_leaves", "forked", "reset"})
    EXPECT_EQ(sandbox_.run({program_path("inside"), scenario}).exit_code, 0) << scenario;
}

TEST_F(Inside, PeaksOfStretchesNest) {
  auto told = run("peaks");
  EXPECT_GE(told["inner"], told["now"] + 20'000);
  EXPECT_LT(told["inner"], told["now"] + 100'000);
  EXPECT_GE(told["outer"], told["now"] + 100'000);
  EXPECT_GE(told["ever"], told["outer"]);
  EXPECT_EQ(figure(sandbox_.snapshot(), "use_max_error"), 0);
  EXPECT_GE(figure(sandbox_.snapshot(), "use_max"), told["ever"]);
}

TEST_F(Inside, ResetCountsFromNowOn) {
  auto told = run("reset");
  EXPECT_GE(told["count_before"], 11);
  EXPECT_EQ(told["count_after"], 0);
  EXPECT_EQ(told["live_is_kept"], 1);
  EXPECT_EQ(told["live_histogram_is_kept"], 1);
  EXPECT_EQ(told["peak_is_live"], 1);
  EXPECT_EQ(told["count_since"], 5);
  EXPECT_GE(figure(sandbox_.snapshot(), "alloc_count"), told["count_before"] + 5);  // outside, nothing began anew
  EXPECT_GE(figure(sandbox_.snapshot(), "use_max"), 1'000'000);
}

TEST_F(Inside, SaysWhatTheReportSays) {
  const auto told = run("equal");
  const auto snapshot = sandbox_.snapshot();
  for (const auto& [name, value] : told) {
    if (name.ends_with("_change") || name.ends_with("_histogram") || name.starts_with("p")) continue;
    EXPECT_EQ(figure(snapshot, name), value) << name;
  }
  for (const int percent : {1, 50, 99}) {
    const auto bounds = reader::quantile(snapshot.stats.alloc, percent / 100.0);
    ASSERT_TRUE(bounds);
    EXPECT_EQ(static_cast<int64_t>(bounds->low), told.at("p" + std::to_string(percent) + "_low"));
    EXPECT_EQ(static_cast<int64_t>(bounds->high), told.at("p" + std::to_string(percent) + "_high"));
  }
}

TEST_F(Inside, ScopesAreCountedApart) {
  auto told = run("scopes");
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(allocated(snapshot, "parse"), 11);
  EXPECT_EQ(allocated(snapshot, "parse/json"), 20);
  EXPECT_EQ(figure(scope(snapshot, "parse")->whole, "alloc_count"), 31);
  EXPECT_EQ(figure(scope(snapshot, "parse/json")->own, "alloc_sum"), 4000);
  EXPECT_GE(told["alloc_count"], 34);
  EXPECT_GE(figure(snapshot, "alloc_count"), told["alloc_count"]);
  ASSERT_EQ(snapshot.threads.size(), 1u);
  EXPECT_EQ(figure(snapshot, "alloc_count"), figure(snapshot.threads[0].stats, "alloc_count"));
}

TEST_F(Inside, ScopesOfManyThreadsAddUp) {
  run("scopes_of_threads");
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(allocated(snapshot, "even"), 8000);
  EXPECT_EQ(allocated(snapshot, "odd"), 8000);
  EXPECT_EQ(figure(scope(snapshot, "odd")->own, "live_count"), 0);
  EXPECT_LE(snapshot.process.slots_used, 1u + 8 * 3);  // handed on from the first round's threads to the second's
}

TEST_F(Inside, ThePeakOfOneThreadIsExactAcrossScopes) {
  run("scope_peak");
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(figure(snapshot, "use_max_error"), 0);
  EXPECT_EQ(figure(snapshot, "use_max"), figure(snapshot, "use_curr") + 3000 + 5000);  // glibc's sizes are 16 n + 8
}

TEST_F(Inside, WhatIsTemporaryDoesNotDependOnScopes) { EXPECT_EQ(run("scope_temporary")["temporary_count"], 2); }

TEST_F(Inside, TooManyScopesAreRefusedWithANote) {
  run("many_scopes");
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(snapshot.scopes.size(), 63u);
  EXPECT_TRUE(has_note(snapshot, "scope_refused"));
  EXPECT_EQ(allocated_in_bucket_of(snapshot, 20'000), 101);
}

TEST_F(Inside, OddLeavesDoNoHarm) {
  run("odd_leaves");
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(allocated_in_bucket_of(snapshot, 9'000), 1);
  EXPECT_EQ(snapshot.scopes.size(), 3u);
  for (const reader::Scope& scope : snapshot.scopes) {
    EXPECT_EQ(scope.own.alloc.cells[bucket_of(7'000)].count, 0u) << scope.path;
    EXPECT_EQ(scope.own.alloc.cells[bucket_of(9'000)].count, 0u) << scope.path;
  }
}

TEST_F(Inside, AForkedChildHasItsOwnScopes) {
  run("forked", {{"HEAPSTER_OUT", "%p.heap"}});
  size_t children = 0;
  for (const reader::Found& found : sandbox_.snapshots()) {
    if (found.snapshot.process.identity.start != static_cast<uint32_t>(Start::kForked)) {
      EXPECT_EQ(allocated(found.snapshot, "parent"), 1);
      continue;
    }
    ++children;
    EXPECT_EQ(allocated(found.snapshot, "child"), 2);
    EXPECT_EQ(found.snapshot.scopes.size(), 1u);
  }
  EXPECT_EQ(children, 1u);
}

TEST_F(Inside, ReportsShowScopes) {
  run("scopes", {{"HEAPSTER_OUT", "s.heap"}, {"HEAPSTER_STACKS", "1"}});
  const auto heapster = [&](Words words) {
    words.insert(words.begin(), heapster_path());
    words.push_back("s.heap");
    const Ended ended = sandbox_.run(words);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return ended.out;
  };
  EXPECT_THAT(heapster({"show"}), HasSubstr("parse/json"));
  EXPECT_THAT(heapster({"show", "--json"}), HasSubstr("\"path\": \"parse/json\""));
  EXPECT_THAT(heapster({"export", "-f", "openmetrics"}),
              testing::ContainsRegex("heapster_scope_alloc_bytes_count\\{[^}]*scope=\"parse/json\"\\} 20\n"));
  EXPECT_THAT(heapster({"stacks", "--by", "allocated", "--scope", "json"}), HasSubstr("20 blocks"));
  const Ended linted =
      sandbox_.run({"sh", "-c", heapster_path() + " export -f openmetrics s.heap | promtool check metrics"});
  EXPECT_EQ(linted.exit_code, 0) << linted.out << linted.err;
}

class Compared : public Inside {
 protected:
  void SetUp() override { run("compared", {{"HEAPSTER_OUT", "s.heap"}}); }
  std::string diff(const Words& more) {
    Words words = {heapster_path(), "diff"};
    words.insert(words.end(), more.begin(), more.end());
    const Ended ended = sandbox_.run(words);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return ended.out;
  }
  // The object of that name in one of the lists.
  static nlohmann::json item(const nlohmann::json& list, const std::string& key, const std::string& name) {
    for (const nlohmann::json& each : list)
      if (each.at(key) == name) return each;
    ADD_FAILURE() << name << " is not in " << list.dump(1);
    return {};
  }
};

TEST_F(Compared, DiffTellsWhichScopesMoved) {
  const std::string text = diff({"s.1.heap", "s.heap"});
  EXPECT_THAT(text, HasSubstr("Scopes  each without the scopes inside it; 1 did not change\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  parse +14 +\\+8 +5\\.[0-9]+ KiB +\\+3\\.[0-9]+ KiB +12 +\\+7 +"
                                           "3\\.[0-9]+ KiB +\\+2\\.[0-9]+ KiB\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  parse/late  \\(new\\) +4 +\\+4 +800 B +\\+800 B +4 +\\+4 +0 B +0 B\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("early")));
  EXPECT_THAT(diff({"--runs", "s.heap", "s.1.heap"}), testing::ContainsRegex("\n  parse/late  \\(gone\\) +0 +-4 "));
  EXPECT_THAT(diff({"s.heap", "s.heap"}), HasSubstr("Scopes  nothing changed\n"));
}

TEST_F(Compared, DiffTellsWhichArenasMoved) {
  const std::string text = diff({"s.1.heap", "s.heap"});
  EXPECT_THAT(text, HasSubstr("Arenas  as the program tells of them; 1 did not change\n"));
  EXPECT_THAT(text, testing::ContainsRegex(
                        "\n  pool +2 +\\+1 +3\\.91 KiB +\\+2\\.93 KiB +3\\.91 KiB +\\+2\\.93 KiB +0 B +0 B\n"));
  EXPECT_THAT(text, testing::ContainsRegex("\n  fresh  \\(new\\) +1 +\\+1 +32 B +\\+32 B +0 B +0 B"));
  EXPECT_THAT(text, testing::Not(HasSubstr("still")));
}

TEST_F(Compared, DiffHasAllOfThemAsJson) {
  const auto json = nlohmann::json::parse(diff({"--json", "s.1.heap", "s.heap"}));
  ASSERT_EQ(json.at("scopes").size(), 3u);
  const auto parse = item(json.at("scopes"), "path", "parse");
  EXPECT_EQ(parse.at("there"), "both");
  EXPECT_EQ(parse.at("stats").at("alloc_count"), 8);
  EXPECT_EQ(parse.at("stats").at("alloc_sum"), 3700);
  EXPECT_GE(parse.at("stats").at("use_curr"), 4000) << "a level is the later one";
  EXPECT_GE(parse.at("change").at("use_curr"), 3000);
  EXPECT_LT(parse.at("change").at("use_curr"), 3100);
  EXPECT_EQ(parse.at("stats_with_inner").at("alloc_count"), 12);
  const auto late = item(json.at("scopes"), "path", "parse/late");
  EXPECT_EQ(late.at("there"), "to");
  EXPECT_EQ(late.at("stats").at("alloc_count"), 4);
  EXPECT_EQ(item(json.at("scopes"), "path", "early").at("stats").at("alloc_count"), 0);

  ASSERT_EQ(json.at("arenas").size(), 3u);
  const auto pool = item(json.at("arenas"), "name", "pool");
  EXPECT_EQ(pool.at("there"), "both");
  EXPECT_EQ(pool.at("alloc_count"), 1);
  EXPECT_EQ(pool.at("alloc_sum"), 3000);
  EXPECT_EQ(pool.at("dealloc_count"), 0);
  EXPECT_EQ(pool.at("upstream_count"), 0) << "0 bytes are no block";
  EXPECT_EQ(pool.at("use_curr"), 4000);
  EXPECT_EQ(pool.at("change").at("use_curr"), 3000);
  EXPECT_EQ(item(json.at("arenas"), "name", "fresh").at("there"), "to");

  const auto back = nlohmann::json::parse(diff({"--json", "--runs", "s.heap", "s.1.heap"}));
  const auto gone = item(back.at("scopes"), "path", "parse/late");
  EXPECT_EQ(gone.at("there"), "from");
  EXPECT_EQ(gone.at("stats").at("alloc_count"), -4);
  EXPECT_EQ(gone.at("stats").at("use_curr"), 0);
  EXPECT_EQ(item(back.at("arenas"), "name", "fresh").at("alloc_count"), -1);
}

}  // namespace
}  // namespace heapster::test
