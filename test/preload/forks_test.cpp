// SPDX-License-Identifier: MIT
//
// A child never writes into its parent's segment, counts from zero, and knows what lived at the
// fork.

#include <gtest/gtest.h>

#include <filesystem>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

class Forks : public testing::TestWithParam<const char*> {};

TEST_P(Forks, ParentAndChildCountApart) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, GetParam()});
  ASSERT_EQ(ended.exit_code, 0);
  const auto child_pid = static_cast<uint32_t>(facts(ended.out).at("child"));
  const auto parent = sandbox.snapshot();
  const auto children = reader::list_snapshots(sandbox.run_directory());
  ASSERT_TRUE(children);
  ASSERT_EQ(children->found.size(), 1u) << "a descendant writes into the run directory";
  const auto& child = children->found[0].snapshot;
  EXPECT_EQ(child.process.identity.pid, child_pid);
  EXPECT_EQ(child.process.identity.root_pid, parent.process.identity.pid);
  EXPECT_EQ(figure(child, "alloc_count"), 300);
  EXPECT_EQ(figure(child, "alloc_sum"), 300 * 200);
  EXPECT_EQ(figure(child, "use_curr"), figure(parent, "use_curr") + 300 * 200)
      << "what lived at the fork lives in the child, too";
  EXPECT_EQ(figure(child, "live_count"), figure(parent, "live_count") + 300);
  EXPECT_EQ(figure(child, "use_max"), figure(child, "use_curr"));
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

INSTANTIATE_TEST_SUITE_P(Every, Forks, testing::Values("fork", "_Fork", "clone"),
                         [](const auto& test) { return std::string(test.param[0] == '_' ? "underFork" : test.param); });

TEST(Fork, TheParentsSegmentStaysAsItIs) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "parent-idle"}, sandbox.measured());
  ASSERT_EQ(background.line(), "child");
  const auto listing = reader::list(sandbox.run_directory());
  ASSERT_TRUE(listing);
  std::string path;
  for (const auto& found : listing->found) {
    if (found.snapshot.process.identity.pid == static_cast<uint32_t>(background.pid())) path = found.path;
  }
  const std::string before = read_file(path);
  ASSERT_FALSE(before.empty());
  background.say("go\n");
  ASSERT_EQ(background.line(), "done");
  EXPECT_TRUE(read_file(path) == before) << "the child wrote into its parent's segment";
  background.say("end\n");
  EXPECT_EQ(background.wait().exit_code, 0);
}

TEST(Fork, AVforkChildLeavesTheParentsNumbersAlone) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, "vfork"}).exit_code, 0);
  EXPECT_EQ(sandbox.snapshot().process.life, reader::Life::kExited);
  EXPECT_TRUE(reader::list_snapshots(sandbox.run_directory())->found.empty());
}

TEST(Fork, ASpawnedProgramIsADescendant) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, "spawn", kSubject, "return"}).exit_code, 7);
  const auto parent = sandbox.snapshot();
  const auto children = reader::list_snapshots(sandbox.run_directory());
  ASSERT_TRUE(children);
  ASSERT_EQ(children->found.size(), 1u);
  EXPECT_EQ(children->found[0].snapshot.process.identity.root_pid, parent.process.identity.pid);
}

TEST(Fork, ChildrenAreNotMeasuredWithoutFollow) {
  Sandbox sandbox;
  sandbox.run_measured({kSubject, "fork"}, {{"HEAPSTER_FOLLOW", "0"}});
  sandbox.run_measured({kSubject, "spawn", kSubject, "return"}, {{"HEAPSTER_FOLLOW", "0"}});
  EXPECT_EQ(sandbox.snapshots().size(), 2u);
  EXPECT_TRUE(reader::list_snapshots(sandbox.run_directory())->found.empty());
}

TEST(Fork, WhileEightThreadsAllocateNothingHangs) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, "storm", "300"}, {{"HEAPSTER_OUT", "none"}}).exit_code, 0);
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

TEST(Fork, WithAnOutputChosenDescendantsGetNamesOfTheirOwn) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "fork"}, {{"HEAPSTER_OUT", "all.heap"}});
  const auto child = facts(ended.out).at("child");
  EXPECT_TRUE(std::filesystem::exists(sandbox.path("all.heap")));
  EXPECT_TRUE(std::filesystem::exists(sandbox.path("all." + std::to_string(child) + ".heap")));
}

}  // namespace
}  // namespace heapster::test
