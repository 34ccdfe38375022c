// SPDX-License-Identifier: MIT
//
// The index reads each sample's pointer from the tables, so these are mapped in private memory.

#include "preload/sampling/sample_index.h"

#include <gtest/gtest.h>

#include "preload/base/free_list.h"
#include "preload/base/words.h"
#include "preload/sampling/stack_tables.h"
#include "preload/segment/segment_memory.h"

namespace heapster::preload {
namespace {

class SampleIndex : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "its shadow lies where the tables would";
#endif
    if (!stacks.there()) {
      ASSERT_TRUE(segment.map_private() && stacks.map(-1));
      stacks.describe(*segment.header());
    }
    clear_index();
    ASSERT_TRUE(start_index(true));
  }
  static const void* address(uint64_t number) { return reinterpret_cast<const void*>(0x10000 + number * 64); }
  // The tables grow by the places that are taken.
  static bool enter(const void* block, uint32_t place) {
    while (taken_ <= place) taken_ = stacks.take_sample(HeldSamples(nullptr, false)) + 1;
    store(stacks.sample(place).pointer, reinterpret_cast<uint64_t>(block));
    return enter_sample(block, place);
  }
  static inline uint32_t taken_ = 0;
};

TEST_F(SampleIndex, FindsWhatWasEntered) {
  EXPECT_FALSE(is_in_filter(address(1)));
  ASSERT_TRUE(enter(address(1), 5));
  EXPECT_TRUE(is_in_filter(address(1)));
  EXPECT_TRUE(may_be_sampled(address(1)));
  EXPECT_EQ(find_sample(address(1)), 5u);
  EXPECT_EQ(find_sample(address(2)), kNoPlace);
  EXPECT_EQ(take_out_sample(address(1)), 5u);
  EXPECT_EQ(find_sample(address(1)), kNoPlace);
  EXPECT_FALSE(is_in_filter(address(1)));
}

// Two that share a byte of the small filter: their number stands in it, and each alone is known by its mark.
TEST_F(SampleIndex, SeveralInOneByteAreCounted) {
  const uint64_t apart = sizeof(QuickFilter);  // in blocks of 64 bytes
  const void* const a = address(1);
  const void* const b = address(1 + apart);
  ASSERT_NE(mark_of(a), mark_of(b));
  ASSERT_TRUE(enter(a, 1));
  EXPECT_TRUE(is_in_filter(b));
  EXPECT_FALSE(may_be_sampled(b)) << "another mark";
  ASSERT_TRUE(enter(b, 2));
  EXPECT_TRUE(may_be_sampled(a) && may_be_sampled(b));
  take_out_sample(a);
  EXPECT_TRUE(is_in_filter(b));
  EXPECT_EQ(find_sample(b), 2u);
  take_out_sample(b);
  EXPECT_FALSE(is_in_filter(a) || is_in_filter(b));
}

TEST_F(SampleIndex, ManyGoToFurtherLevels) {
  constexpr uint32_t kMany = 30'000;  // the first level has room for 16,384
  for (uint32_t i = 0; i < kMany; ++i) ASSERT_TRUE(enter(address(i), i)) << i;
  for (uint32_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(may_be_sampled(address(i))) << i;
    ASSERT_EQ(find_sample(address(i)), i);
  }
  for (uint32_t i = 0; i < kMany; ++i) ASSERT_EQ(take_out_sample(address(i)), i);
  EXPECT_EQ(find_sample(address(7)), kNoPlace);
}

}  // namespace
}  // namespace heapster::preload
