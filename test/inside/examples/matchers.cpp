// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <heapster/testing.hpp>
#include <string>
#include <vector>

using namespace heapster::testing;

class Parser : public testing::Test {
 protected:
  void SetUp() override { HEAPSTER_SKIP_UNLESS_ACTIVE(); }  // without this, not running under heapster is a failure
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

TEST_F(Parser, SplitsWithFewAllocations) {
  const std::string text = "to be or not to be";
  EXPECT_THAT([&] { return split(text); }, AllocatesAtMost(4));
  EXPECT_THAT([&] { return split(text); }, AllocatesBytesAtMost(1024));
  EXPECT_THAT([&] { return split(text); }, PeaksAtMost(1024));
  EXPECT_THAT([&] { return split(text); }, LeaksNothing());
}

TEST_F(Parser, ReusesItsBuffer) {
  std::string buffer;
  buffer.reserve(64);
  EXPECT_NO_ALLOCATIONS {
    buffer = "to be";
    buffer += " or not to be";
  }
  EXPECT_BLOCK(AllocatesAtMost(1)) { buffer.append(100, '!'); }
}
