// SPDX-License-Identifier: MIT
//
// The tables of sampled stacks: what is whole is told exactly, what names nothing is left out and counted.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <span>

#include "reader/dump.h"
#include "reader/load.h"
#include "reader/names.h"
#include "stack_tables.h"

namespace heapster::reader {
namespace {

using test::StackTables;

Result<Snapshot> load_tables(const StackTables& tables) {
  test::Segment segment = test::busy_segment();
  return load(MemorySource(tables.behind(segment)));
}

// The stacks of the busy program after something was done to its tables.
Stacks stacks_after(const std::function<void(StackTables&)>& change) {
  StackTables tables = test::busy_stacks();
  change(tables);
  const auto snapshot = load_tables(tables);
  EXPECT_TRUE(snapshot) << snapshot.error().text;
  return snapshot ? *snapshot->stacks : Stacks{};
}

TEST(Stacks, AreAbsentWhereNobodyAskedForThem) {
  EXPECT_FALSE(load(MemorySource(test::busy_segment().bytes()))->stacks);
}

TEST(Stacks, AreToldAsTheyWereWritten) {
  const Stacks stacks = stacks_after([](StackTables&) {});
  EXPECT_EQ(stacks.sampling.mean_bytes, 512u * 1024);
  EXPECT_EQ(stacks.dropped(), 2u);
  EXPECT_EQ(stacks.without_stack(), 3u);
  ASSERT_EQ(stacks.modules.size(), 2u);
  EXPECT_EQ(stacks.modules[1].path, "/usr/lib/libcache.so.1");
  EXPECT_EQ(stacks.modules[1].build_id, "2222222222222222222222222222222222222222");
  ASSERT_EQ(stacks.stacks.size(), 4u);
  const Stack& cache = stacks.stacks[0];
  EXPECT_EQ(cache.frames,
            (std::vector<Frame>{{0x7ffff7001010, 1}, {0x7ffff7002020, 1}, {0x555555555030, 0}, {0x555555555040, 0}}));
  EXPECT_EQ(cache.figures.samples, 50u);
  EXPECT_EQ(cache.figures.live_samples(), 40u);
  EXPECT_EQ(cache.figures.live_bytes(), 40u * 128 * 4096);
  EXPECT_EQ(cache.figures.live_count(), 40u * 128 * kWholeBlock);
  EXPECT_EQ(cache.figures.elsewhere_count, 10u * 128 * kWholeBlock);
  EXPECT_EQ(cache.figures.lifetimes[11], 10u * 128 * kWholeBlock);  // 4^10 µs is a second, 4^11 is four
  EXPECT_FALSE(cache.truncated);
  EXPECT_TRUE(stacks.stacks[3].truncated);
  EXPECT_EQ(stacks.stacks[3].frames[0], (Frame{0x7fffe0001000, kNoModule}));
  EXPECT_EQ(stacks.samples.size(), 43u);
  EXPECT_EQ(stacks.samples[0].slot, 1u);
  EXPECT_EQ(stacks.samples[0].weight_bytes, 128u * 4096);
  EXPECT_EQ(stacks.damaged, 0u);
}

TEST(Stacks, AddUp) {
  const Stacks stacks = stacks_after([](StackTables&) {});
  const StackFigures total = stacks.total();
  EXPECT_EQ(total.samples, 50u + 2 + 100 + 1);
  EXPECT_EQ(total.alloc_count, (50u * 128 + 2 + 100 * 8192 + 6) * kWholeBlock);
  EXPECT_EQ(total.live_bytes(), 40u * 128 * 4096 + (2u << 20) + 600'000);
}

// A sample of small blocks stands for more of them: of all stacks together, most freed blocks lived for 2 µs.
TEST(Stacks, LifetimesAreOfBlocksNotOfSamples) {
  const StackFigures total = stacks_after([](StackTables&) {}).total();
  EXPECT_EQ(total.lifetimes[1], 100u * 8192 * kWholeBlock);
  EXPECT_EQ(total.lifetimes[11], 10u * 128 * kWholeBlock);
}

// As threads leave them, of which one frees what the other allocated.
TEST(Stacks, EntriesOfOneStackAddUp) {
  const Stacks one = stacks_after([](StackTables&) {});
  const Stacks two = stacks_after([](StackTables& tables) {
    const auto whole = [](uint64_t blocks) { return blocks * kWholeBlock; };
    tables.stacks.push_back(tables.stacks[1]);
    heapster::Stack& first = tables.stacks[1];
    heapster::Stack& second = tables.stacks.back();
    first.alloc_count += whole(7);
    first.alloc_bytes += 700;
    second = {};
    second.first_frame = tables.stacks[1].first_frame;
    second.depth = tables.stacks[1].depth;
    second.freed_count = whole(7);
    second.freed_bytes = 700;
    second.peak_bytes = uint64_t{0} - 300;  // below zero
    first.peak_bytes += 300;
    tables.samples[0].stack = static_cast<uint32_t>(tables.stacks.size() - 1);
  });
  ASSERT_EQ(two.stacks.size(), one.stacks.size());
  EXPECT_EQ(two.stacks[1].figures.live_bytes(), one.stacks[1].figures.live_bytes());
  EXPECT_EQ(two.stacks[1].figures.peak_bytes, one.stacks[1].figures.peak_bytes);
  EXPECT_EQ(two.stacks[1].figures.alloc_count, one.stacks[1].figures.alloc_count + 7 * kWholeBlock);
  EXPECT_EQ(*two.samples[0].stack, 1u);
  EXPECT_EQ(two.damaged, 0u);
}

// As heapster wrote them before it kept what errors are made of: each figure is where it was, and no spread is known.
TEST(Stacks, OfEarlierFilesAreReadWithoutTheirSpreads) {
  test::Segment segment = test::busy_segment();
  std::string bytes = test::busy_stacks().behind(segment);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (Section& section : std::span(header.sections, header.section_count)) {
    if (section.type != static_cast<uint32_t>(SectionType::kStacks)) continue;
    for (size_t i = 1; i < section.used; ++i)
      std::memmove(&bytes[section.offset + i * kFirstStackBytes], &bytes[section.offset + i * section.item_bytes],
                   kFirstStackBytes);
    section.item_bytes = kFirstStackBytes;
  }
  std::memcpy(bytes.data(), &header, sizeof header);
  const auto snapshot = load(MemorySource(bytes));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  const Stacks now = stacks_after([](StackTables&) {});
  ASSERT_EQ(snapshot->stacks->stacks.size(), now.stacks.size());
  for (size_t i = 0; i < now.stacks.size(); ++i) {
    EXPECT_EQ(snapshot->stacks->stacks[i].frames, now.stacks[i].frames);
    EXPECT_EQ(snapshot->stacks->stacks[i].figures.alloc_bytes, now.stacks[i].figures.alloc_bytes);
    EXPECT_EQ(snapshot->stacks->stacks[i].figures.lifetimes, now.stacks[i].figures.lifetimes);
    for (double StackFigures::*spread : kStackSpreads) {
      EXPECT_TRUE(std::isnan(snapshot->stacks->stacks[i].figures.*spread));
      EXPECT_FALSE(std::isnan(now.stacks[i].figures.*spread));
    }
  }
}

// What another scope did with it stays apart.
TEST(Stacks, EntriesOfOtherScopesDoNotAddUp) {
  const Stacks stacks = stacks_after([](StackTables& tables) {
    tables.stacks.push_back(tables.stacks[1]);
    tables.stacks.back().scope = 1;
  });
  EXPECT_EQ(stacks.stacks.size(), 5u);
}

TEST(Stacks, EntriesThatAreNotReadyAreNotThere) {
  const Stacks stacks = stacks_after([](StackTables& tables) {
    tables.stacks[1].depth = 0;
    tables.modules[1].ready = 0;
    tables.samples[0].pointer = 0;
  });
  EXPECT_EQ(stacks.stacks.size(), 3u);
  EXPECT_EQ(stacks.modules[1].path, "");
  EXPECT_EQ(stacks.samples.size(), 40u);  // and the two that name the stack
  EXPECT_EQ(stacks.damaged, 2u);
  EXPECT_EQ(stacks.stacks[1].frames[0].address, 0x555555557010u);
  EXPECT_EQ(*stacks.samples.back().stack, 2u) << "samples follow their stacks' new places";
}

TEST(Stacks, FramesOutsideTheirTableAreDamage) {
  for (const uint32_t first : {9u, 10u, 1000u, UINT32_MAX}) {
    const Stacks stacks = stacks_after([&](StackTables& tables) { tables.stacks[2].first_frame = first; });
    EXPECT_EQ(stacks.stacks.size(), 3u) << first;
    EXPECT_EQ(stacks.damaged, 1u) << first;
  }
  for (const uint16_t depth : {uint16_t{11}, uint16_t{kMaxDepth + 1}, uint16_t{UINT16_MAX}})
    EXPECT_EQ(stacks_after([&](StackTables& tables) { tables.stacks[0].depth = depth; }).stacks.size(), 3u) << depth;
}

TEST(Stacks, NumbersOutsideTheirTablesLeadNowhere) {
  const Stacks stacks = stacks_after([](StackTables& tables) {
    tables.frames[0] = uint64_t{3} << kFrameAddressBits | 0x1234;
    tables.frames[1] = UINT64_MAX;
    tables.samples[0].stack = 4;
    tables.samples[1].stack = kNoStack;
    tables.modules[0].build_id_bytes = UINT32_MAX;
  });
  EXPECT_EQ(stacks.stacks[0].frames[0], (Frame{0x1234, kNoModule}));
  EXPECT_EQ(stacks.stacks[0].frames[1].module, kNoModule);
  EXPECT_EQ(stacks.damaged, 1u);
  EXPECT_EQ(stacks.samples[0].stack, std::nullopt);
  EXPECT_EQ(stacks.modules[0].build_id.size(), 40u);
}

TEST(Stacks, FreesThatOutrunTheirAllocationsMakeNoNegative) {
  const Stacks stacks = stacks_after([](StackTables& tables) {
    tables.stacks[0].freed_bytes = tables.stacks[0].freed_count = tables.stacks[0].freed_samples = UINT64_MAX;
  });
  EXPECT_EQ(stacks.stacks[0].figures.live_bytes(), 0u);
  EXPECT_EQ(stacks.stacks[0].figures.live_count(), 0u);
  EXPECT_EQ(stacks.stacks[0].figures.live_samples(), 0u);
}

TEST(Stacks, APathWithoutAnEndIsCut) {
  const Stacks stacks = stacks_after(
      [](StackTables& tables) { std::fill_n(tables.modules[0].path, sizeof heapster::Module::path, 'x'); });
  EXPECT_EQ(stacks.modules[0].path, std::string(204, 'x'));
}

TEST(Stacks, AreRefusedWhereTheFileIsCut) {
  test::Segment segment = test::busy_segment();
  const std::string whole = test::busy_stacks().behind(segment);
  for (size_t bytes = segment.bytes().size(); bytes < whole.size(); bytes += 64)
    EXPECT_FALSE(load(MemorySource(std::string(whole, 0, bytes)))) << bytes;
  EXPECT_TRUE(load(MemorySource(whole)));
}

struct TableCase {
  SectionType type;
  std::string name;
};

class StacksSection : public testing::TestWithParam<TableCase> {
 protected:
  std::string refusal_after(const std::function<void(Section&)>& damage) {
    test::Segment segment = test::busy_segment();
    std::string bytes = test::busy_stacks().behind(segment);
    auto& header = *reinterpret_cast<Header*>(bytes.data());
    for (Section& section : header.sections)
      if (section.type == static_cast<uint32_t>(GetParam().type)) damage(section);
    const auto snapshot = load(MemorySource(bytes));
    return snapshot ? "(accepted)" : snapshot.error().text;
  }
};

TEST_P(StacksSection, IsCheckedBeforeItIsUsed) {
  const std::string& name = GetParam().name;
  for (const uint32_t size : {0u, 7u, UINT32_MAX})
    EXPECT_EQ(refusal_after([&](Section& s) { s.item_bytes = size; }), "damaged: item size of " + name) << size;
  EXPECT_EQ(refusal_after([](Section& s) { s.capacity = 0; }), "damaged: item count of " + name);
  EXPECT_EQ(refusal_after([](Section& s) { s.used = s.capacity = UINT64_MAX; }), "damaged: item count of " + name);
  EXPECT_EQ(refusal_after([](Section& s) { s.offset = 8; }), "damaged: place of " + name);
  EXPECT_EQ(refusal_after([](Section& s) { s.offset = 1 << 30; }), "truncated in its " + name);
}

INSTANTIATE_TEST_SUITE_P(All, StacksSection,
                         testing::Values(TableCase{SectionType::kSampling, "sampling"},
                                         TableCase{SectionType::kModules, "modules"},
                                         TableCase{SectionType::kStacks, "stacks"},
                                         TableCase{SectionType::kFrames, "frames"},
                                         TableCase{SectionType::kSamples, "samples"}),
                         [](const auto& tested) { return tested.param.name; });

// A program that goes on: each look at the directory finds more in the tables than the one before.
class Growing final : public Source {
 public:
  Growing(const std::string& whole, const std::string& early) : whole_(whole), early_(early) {}
  uint64_t size() const override { return whole_.size(); }
  bool read(uint64_t offset, std::span<char> to) const override {
    const bool header = offset == 0 && to.size() == sizeof(Header);
    return MemorySource(header && headers_++ == 0 ? early_ : whole_).read(offset, to);
  }

 private:
  const std::string& whole_;
  const std::string& early_;
  mutable int headers_ = 0;
};

TEST(Stacks, WhatIsNamedIsReadAfterWhatNamesIt) {
  test::Segment segment = test::busy_segment();
  const std::string whole = test::busy_stacks().behind(segment);
  std::string early = whole;
  for (Section& section : reinterpret_cast<Header*>(early.data())->sections)
    if (section.type == static_cast<uint32_t>(SectionType::kStacks) ||
        section.type == static_cast<uint32_t>(SectionType::kFrames) ||
        section.type == static_cast<uint32_t>(SectionType::kModules))
      section.used = 1;
  const auto snapshot = load(Growing(whole, early));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->stacks->damaged, 0u);
  EXPECT_EQ(snapshot->stacks->stacks.size(), 4u);
  EXPECT_EQ(snapshot->stacks->modules.size(), 2u);
}

TEST(Stacks, AreInADump) {
  test::Segment segment = test::busy_segment();
  const std::string path = test::write_temporary("stacks.heap", test::busy_stacks().behind(segment));
  const std::string copy = path + ".copy";
  ASSERT_TRUE(dump(path, copy));
  const auto before = load(path), after = load(copy);
  unlink(path.c_str());
  unlink(copy.c_str());
  ASSERT_TRUE(before && after) << after.error().text;
  ASSERT_TRUE(after->stacks);
  EXPECT_EQ(after->stacks->stacks[0].frames, before->stacks->stacks[0].frames);
  EXPECT_EQ(after->stacks->samples.size(), before->stacks->samples.size());
  EXPECT_EQ(after->stacks->total().alloc_bytes, before->stacks->total().alloc_bytes);
}

TEST(Names, APlaceStandsForANameThatNobodyFound) {
  const Stacks stacks = stacks_after([](StackTables&) {});
  Names names(stacks);
  EXPECT_EQ(names.of({0x7ffff7001010, 1}), (Locations{{"libcache.so.1+0x1010", "", 0, false}}));
  EXPECT_EQ(names.of({0x1234, kNoModule}), (Locations{{"0x1234", "", 0, false}}));
  names.set({0x7ffff7001010, 1}, {{"inner", "a.c", 3}, {"outer", "a.c", 30}});
  EXPECT_EQ(names.of({0x7ffff7001010, 1}).size(), 2u);
  EXPECT_EQ(names.of({0x7ffff7001010, 1})[1].function, "outer");
}

}  // namespace
}  // namespace heapster::reader
