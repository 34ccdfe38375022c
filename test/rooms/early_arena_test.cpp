// SPDX-License-Identifier: MIT

#include "preload/next/early_arena.h"

#include <gtest/gtest.h>

#include <memory>

#include "preload/next/next.h"

namespace heapster::preload {
namespace {

TEST(EarlyArena, BlocksAreAlignedAndApart) {
  const auto arena = std::make_unique<EarlyArena>();
  EXPECT_FALSE(arena->used());
  char* last_end = nullptr;
  for (const size_t alignment : {0, 1, 16, 64, 4096}) {
    for (const size_t size : {0, 1, 15, 16, 17, 1000}) {
      auto* block = static_cast<char*>(arena->take(size, alignment));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % (alignment > 16 ? alignment : 16), 0u);
      EXPECT_GE(block, last_end);
      EXPECT_GE(EarlyArena::usable(block), size);
      EXPECT_TRUE(arena->owns(block));
      last_end = block + EarlyArena::usable(block);
    }
  }
  EXPECT_TRUE(arena->used());
}

// The hot path reads the chunk header before it asks whose block it is.
TEST(EarlyArena, BlocksLookAsIfTheyWereMappedByThemselves) {
  const auto arena = std::make_unique<EarlyArena>();
  EXPECT_NE(chunk_size_field(arena->take(100)) & kChunkMmapped, 0u);
}

TEST(EarlyArena, IsUsedUpInTheEnd) {
  const auto arena = std::make_unique<EarlyArena>();
  size_t blocks = 0;
  while (arena->take(1000) != nullptr) ++blocks;
  EXPECT_GT(blocks, 50u);
  EXPECT_EQ(arena->take(SIZE_MAX), nullptr);
  EXPECT_EQ(arena->take(16, SIZE_MAX), nullptr);
  int elsewhere = 0;
  EXPECT_FALSE(arena->owns(&elsewhere));
}

TEST(EarlyArena, CopiesNoMoreThanThereIs) {
  const auto arena = std::make_unique<EarlyArena>();
  auto* from = static_cast<char*>(arena->take(16));
  for (int i = 0; i < 16; ++i) from[i] = static_cast<char>('a' + i);
  char to[64] = {};
  EarlyArena::copy(to, from, sizeof to);
  EXPECT_EQ(std::string(to, 17), std::string("abcdefghijklmnop") + '\0');
}

}  // namespace
}  // namespace heapster::preload
