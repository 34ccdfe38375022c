// SPDX-License-Identifier: MIT
//
// A helper that dies, waits or takes too much costs nothing but what it was to say.

#include "symbols/helper.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "little_memory.h"
#include "living.h"

namespace heapster::symbols {
namespace {

constexpr Limits kSmall{.bytes = 64 << 20, .seconds = 1, .said = 1 << 20};

struct Told {
  std::string trouble;
  std::vector<std::string> lines;
};

Told told(const std::function<void(const Say&)>& work) {
  Told result;
  result.trouble = in_helper(kSmall, work, [&](const std::string& line) { result.lines.push_back(line); });
  return result;
}

TEST(Helper, SaysLines) {
  const Told all = told([](const Say& say) {
    say("one");
    say("");
    say(std::string(100'000, 'x'));
  });
  EXPECT_EQ(all.trouble, "");
  EXPECT_EQ(all.lines, (std::vector<std::string>{"one", "", std::string(100'000, 'x')}));
}

TEST(Helper, HasLittleMemory) {
  if (test::kSanitized) GTEST_SKIP();
  std::vector<std::string> kept;
  EXPECT_EQ(told([&](const Say&) {
              for (;;) kept.emplace_back(1 << 20, 'x');
            }).trouble,
            "looking its names up took too much memory");
}

TEST(Helper, MayUseWhatItsFilesAreLarge) {
  if (test::kSanitized) GTEST_SKIP();
  const test::RunDirectory place;
  const int full = open(place.write("full", std::string(32 << 20, 'x')).c_str(), O_RDONLY);
  const int hole = open(place.write("hole", "").c_str(), O_RDWR);
  ASSERT_EQ(ftruncate(hole, off_t{1} << 40), 0);
  const auto take = [](int descriptor, size_t bytes) {
    return told([=](const Say&) {
             allow_memory_for(descriptor);
             volatile char* block = new char[bytes];
             block[0] = 1;
           })
        .trouble;
  };
  EXPECT_EQ(take(full, 200 << 20), "");
  EXPECT_EQ(take(hole, 200 << 20), "looking its names up took too much memory") << "what a file says is no reason";
  close(full);
  close(hole);
}

TEST(Helper, HasLittleTime) {
  EXPECT_EQ(told([](const Say&) {
              volatile bool forever = true;
              while (forever) continue;
            }).trouble,
            "looking its names up took too long");
  EXPECT_EQ(told([](const Say&) {
              for (;;) pause();
            }).trouble,
            "looking its names up took too long");
}

TEST(Helper, SaysNoMoreThanItMay) {
  const Told all = told([](const Say& say) {
    for (;;) say(std::string(10'000, 'x'));
  });
  EXPECT_EQ(all.trouble, "its names take more room than they may");
  EXPECT_LE(all.lines.size(), 105u);
}

// An object is mapped, and whoever owns it may cut it at any moment.
TEST(Helper, MayDieOfAFileThatIsCut) {
  const test::RunDirectory place;
  const int file = open(place.write("object", std::string(8192, 'x')).c_str(), O_RDWR);
  const Told all = told([&](const Say& say) {
    const auto* bytes = static_cast<const volatile char*>(mmap(nullptr, 8192, PROT_READ, MAP_SHARED, file, 0));
    if (ftruncate(file, 0) == 0) say(std::string(1, bytes[5000]));
  });
  EXPECT_EQ(all.trouble, "it was cut short while its names were looked up");
  EXPECT_TRUE(all.lines.empty());
  close(file);
}

}  // namespace
}  // namespace heapster::symbols
