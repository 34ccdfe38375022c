// SPDX-License-Identifier: MIT
//
// What sites cost: stacks are worked out once, however many samples name them.

#include "report/sites.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "little_memory.h"
#include "reader/load.h"
#include "report/formats.h"
#include "report/stacks_report.h"
#include "stack_tables.h"

namespace {
std::atomic<size_t> allocations;
}

void* operator new(size_t bytes) {
  ++allocations;
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return std::malloc(bytes); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace heapster::report {
namespace {

size_t allocations_for(int samples, const Selection& selection) {
  test::StackTables tables = test::busy_stacks();
  for (int i = 0; i < samples; ++i) tables.keep(1, 4096, 1);
  test::Segment segment = test::busy_segment();
  const reader::Snapshot snapshot = *reader::load(reader::MemorySource(tables.behind(segment)));
  const reader::Names names(*snapshot.stacks);
  make_sites(snapshot, names, selection);  // names are made when they are first asked for
  const size_t before = allocations;
  make_sites(snapshot, names, selection);
  return allocations - before;
}

TEST(SitesCost, NothingForEachSample) {
  for (const Selection& selection :
       {Selection{}, Selection{.function = "program"}, Selection{.thread = "worker"}, Selection{.least_size = 64}})
    EXPECT_LT(allocations_for(10'000, selection), allocations_for(0, selection) + 100);
}

// Stacks that lead through the same functions, as those of a program do.
test::StackTables crowded() {
  constexpr uint32_t kStacks = 16 * 1024;
  test::StackTables tables(512 * 1024);
  tables.add_module("/usr/bin/program", 0x555555554000, 0x655555554000, 0x555555554000, 0x11);
  for (uint32_t i = 0; i < kStacks + kMaxDepth; ++i)
    tables.frames.push_back(uint64_t{1} << kFrameAddressBits | (0x555555554000 + 16 * i));
  for (uint32_t i = 0; i < kStacks; ++i) {
    Stack& stack = tables.stacks.emplace_back();
    stack = {};
    stack.first_frame = i;
    stack.depth = kMaxDepth;
    tables.allocate(i, 4096, 1);
  }
  return tables;
}

TEST(SitesCost, LittleWhereStacksShareFunctions) {
  test::Segment segment = test::busy_segment();
  const std::string file = crowded().behind(segment);
  ASSERT_LT(file.size(), 5u << 20);
  EXPECT_TRUE(test::does_with(160 << 20, [&] {
    const reader::Snapshot snapshot = *reader::load(reader::MemorySource(file));
    return make_sites(snapshot, reader::Names(*snapshot.stacks)).sites.size() == 16 * 1024;
  }));
  EXPECT_TRUE(test::does_with(400 << 20, [&] {
    const reader::Snapshot snapshot = *reader::load(reader::MemorySource(file));
    const reader::Names names(*snapshot.stacks);
    return render_flamegraph({snapshot, &names, Weight::kAllocated}).size() > 1 << 20;
  }));
}

// A function that many others call, or that calls many.
TEST(SitesCost, OfATreeIsNoSquare) {
  Sites sites;
  for (uint32_t i = 0; i < 40'000; ++i)
    sites.sites.push_back({.steps = {{.function = "f" + std::to_string(i)}, {.function = "main"}},
                           .figures = {.alloc_count = kWholeBlock, .alloc_bytes = i + 1}});
  const Node callers = make_tree(sites, By::kAllocated, Direction::kCallers);
  ASSERT_EQ(callers.children.size(), 1u);
  ASSERT_EQ(callers.children[0].children.size(), 40'000u);
  EXPECT_EQ(callers.children[0].children[0].step.function, "f39999");
  EXPECT_EQ(callers.children[0].children[0].value, 40'000);
  EXPECT_EQ(make_tree(sites, By::kAllocated, Direction::kCallees).children.size(), 40'000u);
}

// One figure is rounded in one way, wherever it is told.
TEST(Blocks, AreRoundedToTheNearestEverywhere) {
  test::StackTables tables = test::busy_stacks();
  tables.stacks[0].alloc_count = 82 * kWholeBlock + 150;
  tables.stacks[0].freed_count = tables.stacks[0].freed_bytes = 0;
  test::Segment segment = test::busy_segment();
  const reader::Snapshot snapshot = *reader::load(reader::MemorySource(tables.behind(segment)));
  const reader::Names names(*snapshot.stacks);
  EXPECT_EQ(blocks_of(82 * kWholeBlock + 127), 82);
  EXPECT_EQ(blocks_of(82 * kWholeBlock + 128), 83);
  EXPECT_EQ(amounts_of(snapshot.stacks->stacks[0].figures).alloc_blocks, 83u);
  EXPECT_NE(render_heap({snapshot, &names, Weight::kLive}).find("\n83: "), std::string::npos);
  StacksAnswer answer{.by = By::kLive, .sites = make_sites(snapshot, names)};
  EXPECT_NE(render_text({.title = "", .sections = {sites_section(answer)}}).find("· 83 blocks"), std::string::npos);
}

}  // namespace
}  // namespace heapster::report
