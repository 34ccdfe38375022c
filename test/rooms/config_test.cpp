// SPDX-License-Identifier: MIT

#include "preload/base/config.h"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <string>
#include <vector>

namespace heapster::preload {
namespace {

std::map<std::string, bool> told;

// Reads the options of such an environment, and what was accepted of it.
std::map<std::string, bool> read(std::vector<const char*> environment) {
  told.clear();
  environment.push_back(nullptr);
  read_config(environment.data(), [](const char* assignment, bool accepted) { told[assignment] = accepted; });
  return told;
}

TEST(Config, HasDefaults) {
  EXPECT_TRUE(read({"PATH=/bin", "HEAPSTER=1"}).empty()) << "not ours";
  EXPECT_STREQ(config.out, kDefaultOut);
  EXPECT_FALSE(config.out_set);
  EXPECT_EQ(config.signal, SIGUSR1);
  EXPECT_EQ(config.stacks, 0u);
  EXPECT_EQ(config.limit, 0u);
  EXPECT_TRUE(config.follow);
  EXPECT_FALSE(config.verbose);
  read_config(nullptr, nullptr);
  EXPECT_STREQ(config.label, "");
}

TEST(Config, TakesWhatIsUnderstood) {
  const auto all = read({"HEAPSTER_OUT=x.heap", "HEAPSTER_STACKS=512K", "HEAPSTER_LIMIT=1.5g", "HEAPSTER_SIGNAL=none",
                         "HEAPSTER_FOLLOW=0", "HEAPSTER_VERBOSE=1", "HEAPSTER_LABEL=blue", "HEAPSTER_ROOT=12.345"});
  for (const auto& [assignment, accepted] : all) EXPECT_TRUE(accepted) << assignment;
  EXPECT_EQ(all.size(), 8u);
  EXPECT_STREQ(config.out, "x.heap");
  EXPECT_TRUE(config.out_set);
  EXPECT_EQ(config.stacks, 512u << 10);
  EXPECT_EQ(config.limit, 1536u << 20);
  EXPECT_EQ(config.signal, 0);
  EXPECT_FALSE(config.follow);
  EXPECT_TRUE(config.verbose);
  EXPECT_STREQ(config.label, "blue");
  EXPECT_EQ(config.root_pid, 12u);
  EXPECT_EQ(config.root_ticks, 345u);
}

TEST(Config, IgnoresAndTellsTheRest) {
  const auto all = read({"HEAPSTER_STACKS=many", "HEAPSTER_LIMIT=-1", "HEAPSTER_SIGNAL=KILLER", "HEAPSTER_FOLLOW=2",
                         "HEAPSTER_RUN_DIR=relative", "HEAPSTER_OUT=", "HEAPSTER_ROOT=0.1", "HEAPSTER_NONSENSE=1"});
  for (const auto& [assignment, accepted] : all) EXPECT_FALSE(accepted) << assignment;
  EXPECT_EQ(all.size(), 8u);
  EXPECT_STREQ(config.out, kDefaultOut);
  EXPECT_EQ(config.signal, SIGUSR1);
  EXPECT_EQ(config.root_pid, 0u);
}

}  // namespace
}  // namespace heapster::preload
