// SPDX-License-Identifier: MIT
//
// A dump must read back as the same numbers, be small, and never be seen half written.

#include "reader/dump.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "living.h"
#include "reader/load.h"
#include "reader/proc.h"
#include "stack_tables.h"

namespace heapster::reader {
namespace {

using test::Mapping;
using test::RunDirectory;
using test::Segment;

TEST(Dump, HoldsTheSameNumbers) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  test::count_malloc(segment.hand_over(1, 4244, "second"), 64, 72);
  segment.section(SectionType::kArenas).used = 1;
  std::string bytes = segment.whole();
  constexpr std::string_view kPool = "pool";
  bytes.replace(kArenasOffset + offsetof(heapster_arena, name), kPool.size(), kPool);
  const std::string from = run.write("1-2-3", bytes);
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
  ASSERT_EQ(b->arenas.size(), 1u);
  EXPECT_EQ(b->arenas[0].name, kPool);
}

TEST(Dump, TellsWhatAWitnessSawOfTheEnd) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  segment.header().state = static_cast<uint32_t>(State::kRunning);
  segment.header().ending.time = 0;
  const std::string from = run.write("1-2-3", segment.whole());
  const std::string to = run.path() + "/copy.heap";
  Witness witness{.time = 20'000'000'000, .status = SIGKILL, .oom_kills = 1};
  ASSERT_TRUE(dump(from, to, &witness));
  const auto killed = load(to);
  ASSERT_TRUE(killed) << killed.error().text;
  EXPECT_EQ(killed->process.life, Life::kDead);
  EXPECT_EQ(killed->process.wait_status, SIGKILL);
  EXPECT_TRUE(killed->process.end_seen);
  EXPECT_DOUBLE_EQ(killed->process.duration, 20);
  EXPECT_EQ(killed->notes.back().name, "oom_kill");
  witness.status = 3 << 8;
  ASSERT_TRUE(dump(from, to, &witness));
  EXPECT_EQ(load(to)->process.life, Life::kExited) << "by a system call of its own";
}

// A segment leaves room for what its tables may become; a copy does not.
TEST(Dump, PutsTheTablesOfStacksBehindEachOther) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  std::string bytes = test::busy_stacks().behind(segment);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  uint64_t far = 100 << 20;
  for (Section& section : header.sections) {
    if (section.type < static_cast<uint32_t>(SectionType::kSampling) ||
        section.type > static_cast<uint32_t>(SectionType::kSamples))
      continue;
    const std::string table = bytes.substr(section.offset, section.used * section.item_bytes);
    bytes.resize(far);
    bytes += table;
    section.offset = far;
    far += 10 << 20;
  }
  std::memcpy(bytes.data(), &header, sizeof header);
  const std::string from = run.write("1-2-3", bytes);
  const std::string to = run.path() + "/copy.heap";
  ASSERT_TRUE(dump(from, to));
  EXPECT_LT(std::filesystem::file_size(to), 256u * 1024);
  const auto a = load(from), b = load(to);
  ASSERT_TRUE(a);
  ASSERT_TRUE(b) << b.error().text;
  ASSERT_TRUE(b->stacks);
  EXPECT_EQ(b->stacks->stacks.size(), a->stacks->stacks.size());
  EXPECT_EQ(b->stacks->samples.size(), a->stacks->samples.size());
  EXPECT_EQ(b->stacks->modules.at(1).path, a->stacks->modules.at(1).path);
  EXPECT_EQ(b->stacks->stacks.at(0).frames, a->stacks->stacks.at(0).frames);
  EXPECT_EQ(b->stacks->total().alloc_bytes, a->stacks->total().alloc_bytes);
  EXPECT_EQ(b->stacks->damaged, 0u);
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
  EXPECT_EQ(copy->process.boot_id, boot_id());
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

// The original says more than a copy that nobody can read.
TEST(Dump, IsNoneWhereItCannotBeReadBack) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  std::string bytes = segment.whole();
  const uint16_t too_long = UINT16_MAX;
  std::memcpy(bytes.data() + kTextsOffset + sizeof(uint16_t), &too_long, sizeof too_long);
  const std::string from = run.write("1-2-3", bytes);
  const std::string to = run.path() + "/copy.heap";
  EXPECT_EQ(dump(from, to).error().text, to + ": the copy cannot be read back (damaged: length of a text)");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(run.path()), std::filesystem::directory_iterator()), 1);
}

TEST(Dump, ReplacesNothingUnlessItMay) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  const std::string from = run.write("1-2-3", segment.whole());
  const std::string to = run.write("taken.heap", "somebody's");
  const auto file = FileSource::open(from);
  EXPECT_FALSE(dump(*file, from, {.directory = AT_FDCWD, .name = to, .path = to, .replaces = false}));
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(std::filesystem::file_size(to), 10u);
  EXPECT_TRUE(dump(*file, from, {.directory = AT_FDCWD, .name = to, .path = to, .replaces = true}));
  EXPECT_TRUE(load(to));
}

}  // namespace
}  // namespace heapster::reader
