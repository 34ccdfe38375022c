// SPDX-License-Identifier: MIT
//
// A dump must read back as the same numbers, be small, and never be seen half written.

#include "reader/dump.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "living.h"
#include "reader/load.h"

namespace heapster::reader {
namespace {

using test::Mapping;
using test::RunDirectory;
using test::Segment;

TEST(Dump, HoldsTheSameNumbers) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  test::count_malloc(segment.hand_over(1, 4244, "second"), 64, 72);
  const std::string from = run.write("1-2-3", segment.whole());
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  const auto a = load(from);
  const auto b = load(to);
  ASSERT_TRUE(b) << b.error().text;
  EXPECT_EQ(a->stats.alloc.bytes(), b->stats.alloc.bytes());
  EXPECT_EQ(a->stats.use.curr, b->stats.use.curr);
  EXPECT_EQ(a->timeline.points, b->timeline.points);
  EXPECT_EQ(b->threads.at(1).name, "second");
  EXPECT_EQ(b->threads.at(1).stats.alloc.count().value(), 1);
  EXPECT_EQ(a->process.label, b->process.label);
}

TEST(Dump, KeepsHolesAndIsPrivate) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  const std::string from = run.write("1-2-3", segment.whole());
  std::filesystem::resize_file(from, 64 << 20);  // as the preload makes it
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  struct stat status {};
  ASSERT_EQ(stat(to.c_str(), &status), 0);
  EXPECT_EQ(status.st_size, static_cast<off_t>(kSlotsOffset + kShardBytes));
  EXPECT_LE(status.st_blocks * 512, 32 * 1024);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST(Dump, OfALiveProcessKnowsWhenItWasTaken) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  const std::string from = run.write(test::segment_name(segment), segment.whole());
  const Mapping mapping(from);
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  const auto copy = load(to);
  EXPECT_EQ(copy->process.life, Life::kRunning);
  EXPECT_GE(copy->process.duration, 3.0);
  EXPECT_EQ(copy->threads.at(0).name, "earlier name");  // a snapshot is not asked of the kernel again
}

TEST(Dump, OfADeadProcessStaysDead) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  segment.header().identity.pid = 4194305;
  const std::string from = run.write("1-2-3", segment.whole());
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  EXPECT_EQ(load(to)->process.life, Life::kDead);
}

TEST(Dump, LeavesNothingBehindWhereItFails) {
  const RunDirectory run;
  const std::string from = run.write("1-2-3", "junk");
  const std::string to = run.path() + "/copy.heap";
  EXPECT_EQ(dump(from, to).error().text, from + ": not a heapster file");
  const std::string sound = run.write("1-2-4", test::busy_segment().whole());
  EXPECT_EQ(dump(sound, run.path() + "/absent/copy.heap").error().text,
            run.path() + "/absent/copy.heap: No such file or directory");
  std::filesystem::create_directory(to);  // the rename at the end cannot succeed
  EXPECT_EQ(dump(sound, to).error().text, to + ": Is a directory");
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(run.path())) files += entry.is_regular_file();
  EXPECT_EQ(files, 2u);
}

}  // namespace
}  // namespace heapster::reader
