// SPDX-License-Identifier: MIT
//
// Hostile files. Each check of the loader has a case here that only it can refuse; a sweep cuts
// and damages a sound file everywhere and asks no more than an orderly answer.

#include "reader/load.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "layout/bucket.h"
#include "reader/directory.h"
#include "synthetic.h"

namespace heapster::reader {
namespace {

using test::Segment;

Result<Snapshot> load_bytes(const std::string& bytes) { return load(MemorySource(bytes)); }

std::string refusal(const std::string& bytes) {
  const Result<Snapshot> snapshot = load_bytes(bytes);
  return snapshot ? "(accepted)" : snapshot.error().text;
}

std::string refusal_after(const std::function<void(Segment&)>& damage) {
  Segment segment = test::busy_segment();
  damage(segment);
  return refusal(segment.bytes());
}

TEST(Load, TellsWhoTheProcessWas) {
  const auto snapshot = load_bytes(test::busy_segment().bytes());
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  const Process& process = snapshot->process;
  EXPECT_EQ(process.identity.pid, 4242u);
  EXPECT_EQ(process.executable, "/usr/bin/program");
  EXPECT_EQ(process.command, (std::vector<std::string>{"program", "--flag"}));
  EXPECT_EQ(process.label, "nightly");
  EXPECT_EQ(process.options, (std::vector<std::string>{"HEAPSTER_LABEL=nightly"}));
  EXPECT_EQ(process.refused, (std::vector<std::string>{"HEAPSTER_SIGNAL=WINDY"}));
  EXPECT_EQ(process.life, Life::kExited);
  EXPECT_DOUBLE_EQ(process.duration, 2.0);
  EXPECT_EQ(short_name(process), "program");
}

TEST(Load, RefusesWhatIsNotOurs) {
  EXPECT_EQ(refusal(""), "not a heapster file");
  EXPECT_EQ(refusal("HEAP"), "not a heapster file");
  EXPECT_EQ(refusal(std::string(100'000, 'x')), "not a heapster file");
  EXPECT_EQ(refusal("HEAPSTER and no more"), "truncated in its header");
}

TEST(Load, RefusesOtherVersionsOfTheFormat) {
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().version = 2; }),
            "written by a newer heapster: format 2, this one reads 1");
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().version = 0; }), "damaged: format version");
}

TEST(Load, RefusesALyingHeader) {
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().header_bytes = 8; }), "damaged: header size");
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().section_count = kMaxSections + 1; }), "damaged: section count");
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().section_count = 0; }), "damaged: no schema or no slots");
  EXPECT_EQ(refusal_after([](Segment& s) { s.header().sections[2].type = 1; }), "damaged: two sections of texts");
}

struct SectionCase {
  SectionType type;
  std::string name;
};

class LoadSection : public testing::TestWithParam<SectionCase> {
 protected:
  std::string refusal_of(uint64_t Section::*word, uint64_t value) {
    return refusal_after([&](Segment& s) { s.section(GetParam().type).*word = value; });
  }
};

TEST_P(LoadSection, ItemSizeMustBePlausible) {
  for (const uint32_t size : {0u, 3u, UINT32_MAX})
    EXPECT_EQ(refusal_after([&](Segment& s) { s.section(GetParam().type).item_bytes = size; }),
              "damaged: item size of " + GetParam().name)
        << size;
}

TEST_P(LoadSection, CountMustFitItsCapacityAndOurBound) {
  EXPECT_EQ(refusal_of(&Section::capacity, 0), "damaged: item count of " + GetParam().name);
  const std::string vast = refusal_after([&](Segment& s) {
    s.section(GetParam().type).used = uint64_t{1} << 60;
    s.section(GetParam().type).capacity = UINT64_MAX;
  });
  EXPECT_EQ(vast, "damaged: item count of " + GetParam().name);
}

TEST_P(LoadSection, PlaceMustLieBehindTheHeaderAndInTheFile) {
  EXPECT_EQ(refusal_of(&Section::offset, 8), "damaged: place of " + GetParam().name);
  EXPECT_EQ(refusal_of(&Section::offset, UINT64_MAX), "damaged: place of " + GetParam().name);
  EXPECT_EQ(refusal_of(&Section::offset, 1 << 30), "truncated in its " + GetParam().name);
}

INSTANTIATE_TEST_SUITE_P(
    All, LoadSection,
    testing::Values(SectionCase{SectionType::kTexts, "texts"}, SectionCase{SectionType::kSchema, "schema"},
                    SectionCase{SectionType::kLiveAtPeak, "live at peak"},
                    SectionCase{SectionType::kLiveAtFork, "live at fork"},
                    SectionCase{SectionType::kTimeline, "timeline"}, SectionCase{SectionType::kSlots, "slots"}),
    [](const auto& tested) { return "section" + std::to_string(static_cast<int>(tested.param.type)); });

TEST(Load, RefusesASchemaThatPointsOutOfItsSlot) {
  EXPECT_EQ(refusal_after([](Segment& s) { s.field("alloc").offset = kShardBytes - 8; }), "damaged: place of alloc");
  EXPECT_EQ(refusal_after([](Segment& s) { s.field("alloc").stride = UINT32_MAX; }), "damaged: place of alloc");
  EXPECT_EQ(refusal_after([](Segment& s) { s.field("temporary_count").offset = kShardBytes - 7; }),
            "damaged: place of temporary_count");
  EXPECT_EQ(refusal_after([](Segment& s) { s.field("use_curr").offset = sizeof(TimelinePoint); }),
            "damaged: place of use_curr");
}

TEST(Load, RefusesNamesWithoutAnEnd) {
  EXPECT_EQ(refusal_after([](Segment& s) { std::memset(s.field("alloc").name, 'x', sizeof FieldInfo::name); }),
            "damaged: name in the schema");
  EXPECT_EQ(refusal_after([](Segment& s) { std::memset(s.field("alloc").unit, 'x', sizeof FieldInfo::unit); }),
            "damaged: name in the schema");
  EXPECT_EQ(refusal_after([](Segment& s) { s.field("alloc").name[0] = '\0'; }), "damaged: name in the schema");
}

TEST(Load, RefusesATextLongerThanItsSection) {
  Segment segment = test::busy_segment();
  segment.section(SectionType::kTexts).used -= 1;
  EXPECT_EQ(refusal(segment.bytes()), "damaged: length of a text");
}

TEST(Load, PassesOverSectionsAndFieldsOfALaterVersion) {
  Segment segment = test::busy_segment();
  segment.header().sections[6] = {77, 0, UINT64_MAX, 0, UINT64_MAX};
  segment.header().section_count = 7;
  segment.field("temporary_count").kind = 99;
  const auto snapshot = load_bytes(segment.bytes());
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_FALSE(snapshot->stats.temporary_count.known());
}

TEST(Load, NeedsASchema) {
  EXPECT_EQ(refusal_after([](Segment& s) { s.section(SectionType::kSchema).used = 0; }),
            "damaged: no schema or no slots");
}

TEST(Load, TellsWhereTheFileIsCut) {
  const std::string whole = test::busy_segment().bytes();
  EXPECT_EQ(refusal(whole.substr(0, kLiveAtPeakOffset + 16)), "truncated in its live at peak");
  EXPECT_EQ(refusal(whole.substr(0, kSlotsOffset + 16)), "truncated in its slots");
}

TEST(Load, EveryCutIsNoticed) {
  const std::string whole = test::busy_segment().bytes();
  ASSERT_TRUE(load_bytes(whole));
  for (size_t bytes = 0; bytes < whole.size(); bytes += 256)
    EXPECT_NE(refusal(whole.substr(0, bytes)), "(accepted)") << bytes;
  EXPECT_NE(refusal(whole.substr(0, whole.size() - 1)), "(accepted)");
}

// Under the sanitizers this is the test; without them it asks that nothing crashes or hangs.
TEST(Load, EveryDamagedWordHasAnOrderlyAnswer) {
  const std::string sound = test::busy_segment().bytes();
  size_t refused = 0;
  for (size_t at = 0; at + 4 <= kSlotsOffset + 256; at += 4) {
    if (at == 8192 + 4096) at = kSlotsOffset;  // tables in between hold plain numbers
    for (const uint32_t word : {0u, 1u, 0x7fffffffu, 0xffffffffu}) {
      std::string damaged = sound;
      std::memcpy(damaged.data() + at, &word, sizeof word);
      refused += !load_bytes(damaged);
    }
  }
  EXPECT_GT(refused, 100u);
}

TEST(Load, TimelineKeepsThePointsWhoseTimesIncrease) {
  Segment segment;
  for (const int64_t time : {-5, 10, 20, 15, 20, 30}) {
    TimelinePoint point{};
    point.time = time;
    segment.add_point(point);
  }
  segment.header().published.timeline_stamp = 7;  // a writer in the middle of it, for ever
  segment.header().ending.time = 40;
  const auto snapshot = load_bytes(segment.bytes());
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  std::vector<int64_t> times;
  for (const auto& point : snapshot->timeline.points) times.push_back(point[*snapshot->timeline.column("time")]);
  EXPECT_EQ(times, (std::vector<int64_t>{10, 20, 30, 40}));
}

int64_t last_of(const Timeline& timeline, std::string_view column) {
  return timeline.points.back()[*timeline.column(column)];
}

// What lives since the last point lived until the end, or lives now.
TEST(Load, TheTimelineReachesTheMomentThatTheFiguresAreOf) {
  Segment segment = test::busy_segment();
  segment.header().ending.time = 9'000'000'000;
  const auto snapshot = load_bytes(segment.bytes());
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(last_of(snapshot->timeline, "time"), 9'000'000'000);
  EXPECT_EQ(last_of(snapshot->timeline, "use_curr"), snapshot->stats.use.curr.value());
  EXPECT_EQ(last_of(snapshot->timeline, "alloc_count"), snapshot->stats.alloc.count().value());
  EXPECT_EQ(last_of(snapshot->timeline, "alloc_sum"), snapshot->stats.alloc.bytes().value());
  EXPECT_EQ(last_of(snapshot->timeline, "dealloc_count"), snapshot->stats.dealloc.count().value());
  EXPECT_EQ(last_of(snapshot->timeline, "realloc_copy_sum"),
            (snapshot->stats.realloc_move.bytes() - snapshot->stats.realloc_remap_sum).value());
}

TEST(Load, OfAKilledProcessTheEndIsWhatAWitnessTells) {
  Segment segment = test::busy_segment();
  segment.header().state = static_cast<uint32_t>(State::kRunning);
  segment.header().ending.time = 0;
  auto snapshot = load_bytes(segment.bytes());
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->process.life, Life::kDead);
  EXPECT_FALSE(snapshot->process.end_seen);
  const size_t notes = snapshot->notes.size();
  tell_end(*snapshot, {.time = 20'000'000'000, .status = SIGKILL, .oom_kills = 2});
  EXPECT_EQ(snapshot->process.life, Life::kDead);
  EXPECT_TRUE(snapshot->process.end_seen);
  EXPECT_EQ(snapshot->process.wait_status, SIGKILL);
  EXPECT_DOUBLE_EQ(snapshot->process.duration, 20);
  EXPECT_EQ(last_of(snapshot->timeline, "time"), 20'000'000'000);
  ASSERT_EQ(snapshot->notes.size(), notes + 1);
  EXPECT_EQ(snapshot->notes.back().name, "oom_kill");
  EXPECT_EQ(snapshot->notes.back().count, 2u);
}

// A writer that is at work on the timeline during the first reads, and done afterwards.
class Rearranging final : public Source {
 public:
  Rearranging(const std::string& during, const std::string& after) : during_(during), after_(after) {}
  uint64_t size() const override { return after_.size(); }
  bool read(uint64_t offset, std::span<char> to) const override {
    const bool timeline = offset == kTimelineOffset;
    const bool done = timeline ? timeline_reads_++ > 0 : timeline_reads_ > 0;
    return MemorySource(done ? after_ : during_).read(offset, to);
  }

 private:
  const std::string& during_;
  const std::string& after_;
  mutable int timeline_reads_ = 0;
};

TEST(Load, ReadsATimelineAgainThatMovedMeanwhile) {
  Segment segment;
  segment.header().ending.time = 1;
  const auto with_points = [&](std::initializer_list<int64_t> times, uint32_t stamp) {
    segment.section(SectionType::kTimeline).used = 0;
    for (const int64_t time : times) {
      TimelinePoint point{};
      point.time = time;
      segment.add_point(point);
    }
    segment.header().published.timeline_stamp = stamp;
    return segment.bytes();
  };
  const std::string after = with_points({1, 2}, 6);
  for (const uint32_t stamp : {4u, 5u}) {  // before the change, and in the middle of it
    const std::string during = with_points({1, 2, 3, 4}, stamp);
    const auto snapshot = load(Rearranging(during, after));
    ASSERT_TRUE(snapshot) << snapshot.error().text;
    EXPECT_EQ(snapshot->timeline.points.size(), 2u) << stamp;
  }
}

// As many slots and fields as a file may claim, all of it holes: bounded work, bounded memory.
TEST(LoadFile, TheLargestFileIsReadInBoundedMemory) {
  Segment segment;
  segment.section(SectionType::kSlots).used = kMaxSlots;
  const std::string path = test::write_temporary("vast", segment.bytes());
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(kSlotsOffset + kMaxSlots * sizeof(Slot))), 0);
  const auto snapshot = load(path);
  unlink(path.c_str());
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->threads.size(), 0u) << "nobody ever owned a slot that was never written";
}

TEST(Load, UnknownNotesAreToldByNumber) {
  Segment segment;
  segment.header().notes[kMaxNotes - 1] = 3;
  segment.header().notes[static_cast<uint32_t>(Note::k_new_bypasses_malloc)] = 1;
  const auto snapshot = load_bytes(segment.bytes());
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->notes.size(), 2u);
  EXPECT_EQ(snapshot->notes[1].name, "note_63");
  EXPECT_EQ(coverage(*snapshot).verdict, "partial");
  EXPECT_EQ(coverage(*snapshot).reasons.size(), 1u);
}

TEST(Load, BlindnessOutweighsPartialSight) {
  Segment segment;
  segment.header().notes[static_cast<uint32_t>(Note::k_executable_defines_malloc)] = 1;
  segment.header().notes[static_cast<uint32_t>(Note::k_new_bypasses_malloc)] = 1;
  EXPECT_EQ(coverage(*load_bytes(segment.bytes())).verdict, "none");
  EXPECT_EQ(coverage(*load_bytes(Segment().bytes())).verdict, "full");
}

std::string_view verdict_of(const Segment& segment) { return coverage(*load_bytes(segment.bytes())).verdict; }

// Of one size only one block too many, while others live; of several threads as many as no moment explains.
TEST(Load, MoreFreedThanAllocatedIsNotFullSight) {
  Segment segment;
  Shard& shard = segment.add_slot(1, "main");
  for (int i = 0; i < 100; ++i) test::count_malloc(shard, 5000, 5000);
  EXPECT_EQ(verdict_of(segment), "full");
  test::count_free(shard, 20'000);
  EXPECT_EQ(verdict_of(segment), "partial");

  Segment running = segment;
  running.header().state = static_cast<uint32_t>(State::kRunning);
  running.header().ending.time = 1;
  EXPECT_EQ(load_bytes(running.bytes())->process.life, Life::kRunning);
  EXPECT_EQ(verdict_of(running), "full") << "its parts are not read at once";
  for (int i = 0; i < 100; ++i) test::count_free(running.now(0), 5000);
  EXPECT_EQ(verdict_of(running), "partial") << "fewer than no block";

  Segment threads;
  threads.add_slot(1, "main"), threads.add_slot(2, "other");
  Shard &first = threads.now(0), &second = threads.now(1);
  for (int i = 0; i < 320; ++i) test::count_malloc(first, 5000, 5000), test::count_free(second, 5000);
  for (int i = 0; i < 100; ++i) test::count_malloc(first, 20'000, 20'000);
  for (int i = 0; i < 20; ++i) test::count_free(second, 5000);
  EXPECT_EQ(verdict_of(threads), "full");
  for (int i = 0; i < 20; ++i) test::count_free(second, 5000);
  EXPECT_EQ(verdict_of(threads), "partial");
}

TEST(LoadFile, RefusesWhatIsNoFile) {
  const std::string path = test::write_temporary("fifo", "");
  unlink(path.c_str());
  EXPECT_EQ(load(path).error().text, path + ": No such file or directory");
  EXPECT_EQ(load(std::string("/")).error().text, "/: is a directory, not a file");
  EXPECT_EQ(load(std::string("/dev/null")).error().text, "/dev/null: is a device, not a file");
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(load(path).error().text, path + ": is a FIFO, not a file");
  unlink(path.c_str());
  ASSERT_EQ(symlink("/etc/passwd", path.c_str()), 0);
  EXPECT_EQ(load(path).error().text, path + ": is a symbolic link");
  unlink(path.c_str());
}

TEST(LoadFile, NamesTheFileItRefuses) {
  const std::string path = test::write_temporary("junk", "junk");
  EXPECT_EQ(load(path).error().text, path + ": not a heapster file");
  unlink(path.c_str());
}

// Its owner may cut a segment at any moment; a reader that had mapped it would die of that.
TEST(Load, SurvivesAFileThatIsCutWhileItIsRead) {
  const std::string whole = test::busy_segment().whole();
  const std::string path = test::write_temporary("cut.heap", whole);
  std::atomic<bool> stop{false};
  std::thread cutter([&] {
    for (size_t size = 0; !stop; size = (size + 977) % whole.size()) {
      std::filesystem::resize_file(path, size);
      std::filesystem::resize_file(path, whole.size());
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const Result<Snapshot> snapshot = load(path);
    EXPECT_TRUE(snapshot || snapshot.error().text.starts_with(path));
  }
  stop = true;
  cutter.join();
  test::write_temporary("cut.heap", whole);
  EXPECT_TRUE(load(path));
}

}  // namespace
}  // namespace heapster::reader
