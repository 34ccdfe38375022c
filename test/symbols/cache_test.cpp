// SPDX-License-Identifier: MIT

#include "symbols/cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "living.h"
#include "program.h"

namespace heapster::symbols {
namespace {

namespace fs = std::filesystem;

const std::string kBuild(40, 'a');
const Cache::Entries kEntries{{0x1010, {{"inner", "a.c", 3}, {"outer(int)", "a.c", 30}}}, {0x2020, {{"alone", ""}}}};

class CacheTest : public testing::Test {
 protected:
  std::string file() const { return directory_ + "/" + kBuild + ".symbols"; }

  test::RunDirectory place_;
  std::string directory_ = place_.path() + "/cache/heapster";
  Cache cache_{directory_};
};

TEST_F(CacheTest, KeepsWhatItWasGiven) {
  EXPECT_TRUE(cache_.load(kBuild).empty());
  cache_.store(kBuild, kEntries);
  EXPECT_EQ(cache_.load(kBuild), kEntries);
  EXPECT_TRUE(cache_.load(std::string(40, 'b')).empty());
  struct stat status {};
  ASSERT_EQ(stat(directory_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0700u);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1) << "no draft is left";
}

TEST_F(CacheTest, KeepsWhatTablesSaidApart) {
  const Cache::Entries poor{{0x1010, {{"f", ""}}}, {0x2020, {}}};
  cache_.store(kBuild, poor, 17);
  EXPECT_EQ(cache_.load(kBuild, 17), poor);
  EXPECT_TRUE(cache_.load(kBuild, 18).empty());
  EXPECT_TRUE(cache_.load(kBuild).empty());
}

TEST_F(CacheTest, IsOfNoAccountWhereItIsDamaged) {
  cache_.store(kBuild, kEntries);
  const std::string sound = test::read_whole(file());
  for (const std::string& damaged :
       {std::string(), std::string("heapster symbols 0\n1010\tf\ta.c\t3\n"), sound + "1010\tf\ta.c\n",
        sound + "zz\tf\ta.c\t3\n", sound + "1010\tf\ta.c\tthree\n", sound + "1010\t\ta.c\t3\n", sound + "\n"}) {
    std::ofstream(file()) << damaged;
    EXPECT_TRUE(cache_.load(kBuild).empty()) << damaged;
  }
}

TEST_F(CacheTest, NamesMayHoldAnything) {
  cache_.store(kBuild, {{1, {{"a\tb\nc", "d\te", 1}}}});
  EXPECT_EQ(cache_.load(kBuild), (Cache::Entries{{1, {{"a?b?c", "d?e", 1}}}}));
}

TEST_F(CacheTest, OnlyBuildIdsAreFileNames) {
  for (const char* name : {"", "../../../etc/passwd", "aaaa", "AAAAAAAAAAAA"}) {
    cache_.store(name, kEntries);
    EXPECT_TRUE(cache_.load(name).empty()) << name;
  }
  EXPECT_FALSE(fs::exists(directory_));
}

TEST_F(CacheTest, TheOldestGoWhenThereIsTooMuch) {
  cache_.store(kBuild, kEntries);
  for (int i = 0; i < 9; ++i) {
    const std::string old = directory_ + "/" + std::string(40, static_cast<char>('0' + i)) + ".symbols";
    std::ofstream(old).close();
    fs::resize_file(old, 32u << 20);  // holes
    fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(10 - i));
  }
  cache_.store(kBuild, kEntries);
  EXPECT_EQ(cache_.load(kBuild), kEntries);
  EXPECT_FALSE(fs::exists(directory_ + "/" + std::string(40, '0') + ".symbols"));
  EXPECT_TRUE(fs::exists(directory_ + "/" + std::string(40, '8') + ".symbols"));
}

TEST_F(CacheTest, NoDirectoryIsNoCache) {
  const Cache none("");
  none.store(kBuild, kEntries);
  EXPECT_TRUE(none.load(kBuild).empty());
  const Cache closed("/proc/heapster");
  closed.store(kBuild, kEntries);
  EXPECT_TRUE(closed.load(kBuild).empty());
}

TEST(CacheDirectory, FollowsTheEnvironment) {
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(default_cache_directory(), "/somewhere/heapster");
  setenv("XDG_CACHE_HOME", "relative", 1);
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(default_cache_directory(), "/home/someone/.cache/heapster");
  unsetenv("HOME");
  EXPECT_EQ(default_cache_directory(), "");
}

}  // namespace
}  // namespace heapster::symbols
