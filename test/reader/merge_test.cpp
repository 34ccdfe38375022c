// SPDX-License-Identifier: MIT
//
// Slots → totals, threads and levels, against sums made by hand.

#include "reader/merge.h"

#include <gtest/gtest.h>

#include <cstring>

#include "layout/bucket.h"
#include "reader/diff.h"
#include "reader/load.h"
#include "synthetic.h"

namespace heapster::reader {
namespace {

using test::Segment;

Snapshot loaded(const std::string& bytes) {
  Result<Snapshot> snapshot = load(MemorySource(bytes));
  if (!snapshot) throw std::runtime_error(snapshot.error().text);
  return std::move(*snapshot);
}

// The drawing in layout/segment.h.
TEST(Merge, TwoThreadsAndTheirSum) {
  Segment segment;
  segment.add_slot(1, "a");
  segment.add_slot(2, "b");
  test::count_malloc(segment.now(0), 64, 72);
  test::count_malloc(segment.now(1), 64, 72);
  test::count_free(segment.now(1), 72);
  const Snapshot snapshot = loaded(segment.bytes());
  const Stats& stats = snapshot.stats;
  EXPECT_EQ(stats.alloc.cells[7].count, 2u);
  EXPECT_EQ(stats.alloc.bytes().value(), 128);
  EXPECT_EQ(stats.usable.bytes().value(), 144);
  EXPECT_EQ(stats.dealloc.count().value(), 1);
  EXPECT_EQ(stats.use.curr.value(), 72);
  EXPECT_EQ(stats.live().count().value(), 1);
  ASSERT_EQ(snapshot.threads.size(), 2u);
  EXPECT_EQ(snapshot.threads[0].name, "a");
  EXPECT_EQ(snapshot.threads[1].stats.use.curr.value(), 0);
  EXPECT_EQ(snapshot.threads[1].stats.use.max.value(), std::nullopt);
}

TEST(Merge, AThreadIsWhatItsSlotGainedSinceTheHandOver) {
  Segment segment;
  test::count_malloc(segment.add_slot(1, "first"), 64, 72);
  test::count_free(segment.hand_over(0, 2, "second"), 72);
  const Snapshot snapshot = loaded(segment.whole());
  ASSERT_EQ(snapshot.threads.size(), 1u);
  const Thread& thread = snapshot.threads[0];
  EXPECT_EQ(thread.name, "second");
  EXPECT_EQ(thread.tid, 2u);
  EXPECT_EQ(thread.generation, 2u);
  EXPECT_EQ(thread.stats.alloc.count().value(), 0);
  EXPECT_EQ(thread.stats.dealloc.count().value(), 1);
  EXPECT_EQ(thread.stats.use.curr.value(), -72);
  EXPECT_EQ(snapshot.stats.alloc.count().value(), 1);
}

TEST(Merge, BeforeIsIgnoredInTheFirstGenerationAndNeededLater) {
  Segment segment;
  test::count_malloc(segment.add_slot(1, "first"), 64, 72);
  segment.before(0) = segment.now(0);  // what lies there belongs to nobody
  EXPECT_EQ(loaded(segment.whole()).threads[0].stats.alloc.count().value(), 1);
  segment.hand_over(0, 2, "second");
  EXPECT_EQ(load(MemorySource(segment.bytes())).error().text, "truncated in its slots");
}

// A slot that changes hands just after its `now` was read.
class HandedOver final : public Source {
 public:
  HandedOver(std::string before, std::string after) : before_(std::move(before)), after_(std::move(after)) {}
  uint64_t size() const override { return after_.size(); }
  bool read(uint64_t offset, std::span<char> to) const override {
    const bool now = offset == kSlotsOffset && to.size() == kShardBytes;
    return MemorySource(now && slot_reads_++ == 0 ? before_ : after_).read(offset, to);
  }

 private:
  std::string before_, after_;
  mutable int slot_reads_ = 0;
};

TEST(Merge, ASlotThatChangesHandsMeanwhileIsReadAgain) {
  Segment segment;
  test::count_malloc(segment.add_slot(1, "first"), 64, 72);
  const std::string before = segment.whole();
  segment.hand_over(0, 2, "second");
  const auto snapshot = load(HandedOver(before, segment.whole()));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->threads.at(0).name, "second");
  EXPECT_EQ(snapshot->threads.at(0).stats.alloc.count().value(), 0);
}

TEST(Merge, SharedSlotsStandForNoThread) {
  Segment segment;
  segment.add_slot(5, "unlucky").role = static_cast<uint32_t>(Role::kShared);
  const Snapshot snapshot = loaded(segment.bytes());
  EXPECT_EQ(snapshot.threads[0].name, "(shared)");
  EXPECT_EQ(snapshot.threads[0].tid, 0u);
}

TEST(Merge, NoSlotMeansZerosNotUnknowns) {
  const Snapshot snapshot = loaded(Segment().bytes());
  EXPECT_EQ(snapshot.stats.alloc.count().value(), 0);
  EXPECT_EQ(snapshot.stats.use.curr.value(), 0);
  EXPECT_EQ(snapshot.stats.use.max.value(), 0);
}

TEST(Merge, NumbersAreFoundByNameWhereverTheyLie) {
  Segment segment;
  segment.add_slot(1, "a").counters.free_null_count = 11;
  segment.now(0).counters.realloc_same_count = 22;
  std::swap(segment.field("free_null_count").offset, segment.field("realloc_same_count").offset);
  const Snapshot snapshot = loaded(segment.bytes());
  EXPECT_EQ(snapshot.stats.free_null_count.value(), 22);
  EXPECT_EQ(snapshot.stats.realloc_same_count.value(), 11);
}

TEST(Merge, AnUnknownNameIsListedAndAMissingOneIsUnknown) {
  Segment segment;
  segment.add_slot(1, "a").counters.free_null_count = 11;
  segment.add_slot(2, "b").counters.free_null_count = 4;
  std::strcpy(segment.field("free_null_count").name, "mystery_count");
  test::count_malloc(segment.now(1), 64, 72);
  std::strcpy(segment.field("alloc").name, "mystery");
  const Stats stats = loaded(segment.bytes()).stats;
  EXPECT_FALSE(stats.free_null_count.known());
  EXPECT_FALSE(stats.alloc.known);
  ASSERT_EQ(stats.unnamed.size(), 2u);
  EXPECT_EQ(stats.unnamed[0].name, "mystery");
  EXPECT_EQ(stats.unnamed[0].sum.count, 1u);
  EXPECT_EQ(stats.unnamed[0].sum.bytes, 64u);
  EXPECT_EQ(stats.unnamed[1].name, "mystery_count");
  EXPECT_EQ(stats.unnamed[1].sum.bytes, 15u);
}

Published peaks(int64_t solo, int64_t later, int64_t error) {
  Published published{};
  published.solo_peak = solo;
  published.peak = later;
  published.peak_error = error;
  published.peak_time = 1'500'000'000;
  return published;
}

struct Levels {
  int64_t max, error;
};

// Two slots; the first holds 100 live bytes.
Levels levels_of(const Published& published) {
  Segment segment;
  segment.add_slot(1, "a").net = 100;
  segment.add_slot(2, "b");
  segment.header().published = published;
  segment.header().published.several = 1;
  const Use use = loaded(segment.bytes()).stats.use;
  return {*use.max.value(), *use.max_error.value()};
}

TEST(Peak, IsExactWithOneThread) {
  Segment segment;
  segment.add_slot(1, "a").net = 100;
  segment.now(0).ceiling = 700;
  segment.header().published = peaks(600, 650, 5);
  const Use use = loaded(segment.bytes()).stats.use;
  EXPECT_EQ(use.max.value(), 700);
  EXPECT_EQ(use.max_error.value(), 0);
  EXPECT_DOUBLE_EQ(*use.max_time, 1.5);
}

TEST(Peak, OfManyThreadsCarriesItsBound) {
  const Levels levels = levels_of(peaks(300, 1000, 64));
  EXPECT_EQ(levels.max, 1000);
  EXPECT_EQ(levels.error, 64);
}

TEST(Peak, OfTheLoneBeginningIsExactIfNoLaterOneCanBeHigher) {
  EXPECT_EQ(levels_of(peaks(2000, 1000, 64)).max, 2000);
  EXPECT_EQ(levels_of(peaks(2000, 1000, 64)).error, 0);
  EXPECT_EQ(levels_of(peaks(1050, 1000, 64)).max, 1050);
  EXPECT_EQ(levels_of(peaks(1050, 1000, 64)).error, 14) << "no later one was above 1,064";
}

TEST(Peak, LiesBelowItsBound) {
  Published published = peaks(300, 1000, 0);
  published.peak_bound = 1200;
  EXPECT_EQ(levels_of(published).max, 1000);
  EXPECT_EQ(levels_of(published).error, 200);
  published.peak = 50;
  published.peak_bound = 90;
  EXPECT_EQ(levels_of(published).max, 300) << "of the lone beginning";
  EXPECT_EQ(levels_of(published).error, 0);
}

TEST(Peak, IsNeverBelowWhatLivesNow) { EXPECT_EQ(levels_of(peaks(0, 20, 0)).max, 100); }

TEST(Peak, IsNeverNegative) {
  Segment segment;
  segment.add_slot(1, "a").net = -500;
  segment.now(0).ceiling = -3;
  EXPECT_EQ(loaded(segment.bytes()).stats.use.max.value(), 0);
  EXPECT_EQ(loaded(segment.bytes()).stats.use.curr.value(), -500);
}

TEST(Fork, TheChildStandsOnWhatItInherited) {
  Segment segment;
  segment.add_slot(1, "child").net = -72;
  segment.now(0).ceiling = 8;
  test::count_free(segment.now(0), 0);  // keeps the net word, counts a free of a zero-sized block
  segment.header().at_fork = {1000, 3};
  segment.live_at_fork(7) = {3, 1000};
  const Snapshot snapshot = loaded(segment.bytes());
  EXPECT_EQ(snapshot.stats.use.curr.value(), 928);
  EXPECT_EQ(snapshot.stats.use.max.value(), 1008);
  EXPECT_EQ(snapshot.stats.live().count().value(), 2);
}

TEST(Diff, SubtractsCountsAndKeepsLevels) {
  Segment segment = test::busy_segment();
  const Snapshot a = loaded(segment.bytes());
  test::count_malloc(segment.now(0), 64, 72);
  segment.header().ending.time += 500'000'000;
  const Snapshot b = loaded(segment.bytes());
  const auto change = diff(a, b, false);
  ASSERT_TRUE(change);
  EXPECT_EQ(change->flow.alloc.count().value(), 1);
  EXPECT_EQ(change->flow.alloc.cells[bucket_of(64)].bytes, 64u);
  EXPECT_EQ(change->flow.use.curr.value(), *a.stats.use.curr.value() + 72);
  EXPECT_DOUBLE_EQ(change->seconds, 0.5);
}

TEST(Diff, RefusesOtherProcessesUnlessToldToCompareRuns) {
  Segment segment = test::busy_segment();
  const Snapshot a = loaded(segment.bytes());
  for (const auto& change : std::initializer_list<void (*)(Segment&)>{
           [](Segment& s) { s.header().identity.pid = 7; }, [](Segment& s) { s.header().identity.start_ticks = 7; },
           [](Segment& s) { s.header().identity.image = 7; },
           [](Segment& s) { s.header().identity.started_epoch = 7; }}) {
    Segment other = test::busy_segment();
    change(other);
    const Snapshot b = loaded(other.bytes());
    EXPECT_FALSE(diff(a, b, false));
    EXPECT_TRUE(diff(a, b, true));
  }
}

}  // namespace
}  // namespace heapster::reader
