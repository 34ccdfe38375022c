// SPDX-License-Identifier: MIT
//
// The text report against goldens. To write them anew after a wanted change:
//   HEAPSTER_WRITE_GOLDEN=1 ctest -R Golden      and read the difference before committing it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "program.h"
#include "reader/load.h"
#include "report/report.h"
#include "synthetic.h"

namespace heapster::report {
namespace {

reader::Snapshot loaded(const test::Segment& segment) { return *reader::load(reader::MemorySource(segment.bytes())); }

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(HEAPSTER_GOLDEN) + "/" + name;
  if (std::getenv("HEAPSTER_WRITE_GOLDEN")) std::ofstream(path) << text;
  EXPECT_EQ(text, test::read_whole(path)) << path;
}

TEST(Golden, Busy) { expect_golden("busy.txt", render_text(make_report(loaded(test::busy_segment())))); }

TEST(Golden, ThreadsAndTimeline) {
  const Wanted wanted{.threads = true, .timeline = true};
  expect_golden("everything.txt", render_text(make_report(loaded(test::busy_segment()), wanted)));
}

TEST(Golden, Empty) { expect_golden("empty.txt", render_text(make_report(loaded(test::Segment())))); }

TEST(Golden, Blind) {
  test::Segment segment;
  segment.header().state = static_cast<uint32_t>(State::kRunning);
  segment.header().ending.time = 0;
  segment.header().published.time = 90'000'000;
  segment.header().notes[static_cast<uint32_t>(Note::k_executable_defines_malloc)] = 1;
  segment.add_slot(1, "main").counters.alloc_fail_count = 3;
  expect_golden("blind.txt", render_text(make_report(loaded(segment))));
}

TEST(Golden, Diff) {
  test::Segment segment = test::busy_segment();
  const reader::Snapshot a = loaded(segment);
  for (int i = 0; i < 10; ++i) test::count_malloc(segment.now(0), 500, 504);
  segment.header().ending.time += 250'000'000;
  const reader::Snapshot b = loaded(segment);
  expect_golden("diff.txt", render_text(make_diff_report(a, b, *reader::diff(a, b, false))));
}

// Pages that the kernel moved were not copied.
TEST(Text, WhatWasRemappedIsNotCopied) {
  test::Segment segment;
  Shard& shard = segment.add_slot(1, "main");
  test::count_malloc(shard, 1 << 20, 1 << 20);
  test::count_growth(shard, 1 << 20, 1 << 30, true);
  test::count_growth(shard, 1 << 30, 1 << 31, true);
  ++shard.counters.realloc_remap_count;
  shard.counters.realloc_remap_sum += 1 << 30;
  const std::string text = render_text(make_report(loaded(segment)));
  EXPECT_NE(text.find("  moved                  2"), std::string::npos) << text;
  EXPECT_NE(text.find("  copied          1.00 MiB"), std::string::npos) << text;
  EXPECT_NE(text.find("  remapped        1.00 GiB"), std::string::npos) << text;
}

TEST(Text, ColourOnlyMarksWhatWordsSay) {
  const Report report = make_report(loaded(test::busy_segment()));
  std::string coloured = render_text(report, {.colour = true});
  ASSERT_NE(coloured.find('\033'), std::string::npos);
  for (size_t at = 0; (at = coloured.find('\033', at)) != std::string::npos;)
    coloured.erase(at, coloured.find('m', at) - at + 1);
  EXPECT_EQ(coloured, render_text(report));
}

TEST(Text, NothingFromAFileSteersTheTerminal) {
  test::Segment segment = test::busy_segment();
  segment.add_text(Text::k_executable, "/bin/\033[2J");
  segment.add_text(Text::k_command, "\033]0;title\a");
  segment.add_text(Text::k_label, "\033[31m");
  segment.add_text(Text::k_refused, "HEAPSTER_X=\033");
  std::memcpy(segment.now(0).name, "\033[5m", 5);
  const Wanted all{.threads = true, .timeline = true};
  EXPECT_EQ(render_text(make_report(loaded(segment), all)).find('\033'), std::string::npos);
}

TEST(Command, IsQuotedAndCutAtCharacters) {
  reader::Process process;
  process.command = {"perl", "-e", "print 1"};
  EXPECT_EQ(command_text(process, 80), "perl -e 'print 1'");
  process.command = {"äöüäöü"};
  EXPECT_EQ(command_text(process, 4), "äöü…");
}

TEST(Bars, AreScaledAndNeverVanish) {
  Report report;
  report.sections = {Section{.title = "t", .bars = {{"0", "1", 1'000'000}, {"1", "2", 1}, {"2", "4", 0}}}};
  EXPECT_EQ(render_text(report),
            "heapster: \n\nt\n  [0 .. 1)  1,000,000  ########################################\n"
            "  [1 .. 2)          1  #\n  [2 .. 4)          0\n");
}

}  // namespace
}  // namespace heapster::report
