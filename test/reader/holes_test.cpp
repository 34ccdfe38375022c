// SPDX-License-Identifier: MIT
//
// A file that says much and holds little costs little.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "little_memory.h"
#include "living.h"
#include "reader/directory.h"
#include "reader/load.h"
#include "stack_tables.h"

namespace heapster::reader {
namespace {

// A sound file whose tables are said to be as long as they may be, far behind, where there is nothing.
std::string write_sparse(const test::RunDirectory& run) {
  test::Segment segment = test::busy_segment();
  std::string bytes = test::busy_stacks().behind(segment);
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  uint64_t far = uint64_t{1} << 32;
  const auto spread = [&](SectionType type, uint64_t item_bytes, uint64_t items) {
    for (Section& section : header.sections) {
      if (section.type != static_cast<uint32_t>(type)) continue;
      section = {section.type, static_cast<uint32_t>(item_bytes), far, items, items};
      far += item_bytes * items;
    }
  };
  spread(SectionType::kSlots, 2 * kShardBytes, kMaxSlots);
  spread(SectionType::kModules, kMostStackItemBytes, kMaxModules);
  spread(SectionType::kStacks, kMostStackItemBytes, kMaxStacks);
  spread(SectionType::kFrames, sizeof(uint64_t), kMaxFrames);
  spread(SectionType::kSamples, kMostStackItemBytes, kMaxSamples);
  std::memcpy(bytes.data(), &header, sizeof header);
  const std::string path = run.write("sparse.heap", bytes);
  EXPECT_EQ(truncate(path.c_str(), static_cast<off_t>(far)), 0);
  return path;
}

TEST(Holes, CostNothing) {
  const test::RunDirectory run;
  const std::string path = write_sparse(run);
  EXPECT_TRUE(test::does_with(64 << 20, [&] {
    const auto snapshot = load(path);
    return snapshot && snapshot->stacks && snapshot->stacks->samples.empty() && snapshot->threads.empty();
  }));
}

// Where a file system does not know its holes, or a table begins before one, what it holds is read all the same.
TEST(Holes, AreLeftForWhatIsBehind) {
  const test::RunDirectory run;
  const std::string path = write_sparse(run);
  heapster::Sample sample{};
  sample.pointer = 1;
  sample.weight_bytes = sample.bytes = 77;
  sample.weight_count = kWholeBlock;
  sample.stack = kNoStack;
  Header header;
  const int file = open(path.c_str(), O_RDWR);
  ASSERT_EQ(pread(file, &header, sizeof header, 0), static_cast<ssize_t>(sizeof header));
  for (const Section& section : header.sections) {
    if (section.type != static_cast<uint32_t>(SectionType::kSamples)) continue;
    for (const uint64_t place : {uint64_t{0}, uint64_t{123'456}, section.used - 1}) {
      const auto at = static_cast<off_t>(section.offset + place * section.item_bytes);
      ASSERT_GT(pwrite(file, &sample, sizeof sample, at), 0);
    }
  }
  close(file);
  const auto snapshot = load(path);
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  ASSERT_EQ(snapshot->stacks->samples.size(), 3u);
  EXPECT_EQ(snapshot->stacks->samples[1].bytes, 77u);
}

}  // namespace
}  // namespace heapster::reader
