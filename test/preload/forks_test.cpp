// SPDX-License-Identifier: MIT
//
// A child never writes into its parent's segment, counts from zero, and knows what lived at the
// fork.

#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <map>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

std::string name_of(const testing::TestParamInfo<const char*>& test) {
  std::string name;
  for (const char* letter = test.param; *letter != '\0'; ++letter) {
    if (std::isalpha(*letter) != 0) name += *letter;
  }
  return name;
}

reader::Listing children_in(const Sandbox& sandbox) {
  auto children = reader::list_snapshots(sandbox.run_directory());
  EXPECT_TRUE(children);
  return children ? *children : reader::Listing{};
}

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

INSTANTIATE_TEST_SUITE_P(Every, Forks, testing::Values("fork", "_Fork", "clone", "clone-function", "daemon"), name_of);

class MadeBy : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Every, MadeBy, testing::Values("fork", "_Fork", "clone"), name_of);

TEST_P(MadeBy, TheParentsSegmentStaysAsItIs) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "parent-idle", GetParam()}, sandbox.measured());
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

// What lived at the fork, and not what the parent came to hold before the child's first call.
TEST_P(MadeBy, ABaselineIsTheMomentOfTheFork) {
  Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({kSubject, "parent-goes-on", GetParam()}).exit_code, 0);
  const auto children = children_in(sandbox);
  ASSERT_EQ(children.found.size(), 1u);
  const auto& child = children.found[0].snapshot;
  EXPECT_EQ(figure(child, "alloc_count"), 300);
  EXPECT_LT(figure(child, "live_count"), 1000 + 300 + 200) << "the parent's later blocks are not the child's";
  EXPECT_GE(figure(child, "live_count"), 1000 + 300);
  EXPECT_FALSE(has_note(child, "baseline_approximate"));
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
  EXPECT_EQ(sandbox.run_measured({kSubject, "storm", "10000"}, {{"HEAPSTER_OUT", "none"}}).exit_code, 0);
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

// Six at once find more than the parent keeps room for: whoever finds none looks for itself.
TEST(Fork, InSeveralThreadsAtOnceGivesEachChildItsBaseline) {
  Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({kSubject, "forks-at-once"}).exit_code, 0);
  const auto children = children_in(sandbox);
  ASSERT_EQ(children.found.size(), 6u * 20u);
  std::map<int64_t, int> levels;
  for (const auto& [path, child] : children.found) ++levels[figure(child, "use_curr")];
  EXPECT_EQ(levels.size(), 1u) << "the parent held the same at every fork";
}

TEST(Fork, EachOfATreeOfProcessesHasExactNumbers) {
  Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({kSubject, "tree", "7"}).exit_code, 0);
  const auto children = children_in(sandbox);
  ASSERT_EQ(children.found.size(), (1u << 7) - 1);
  for (const auto& [path, child] : children.found) {
    EXPECT_EQ(allocated_in_bucket_of(child, 5000), 10) << path;
  }
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

// An allocator's or a library's own handler may allocate in the child before ours is called.
TEST(Fork, AChildThatAllocatesInAHandlerIsOneImage) {
  Sandbox sandbox;
  for (const bool first : {false, true}) {
    const std::string shim = program_path("libatfork.so");
    const std::string both = first ? shim + ":" + preload_path() : preload_path() + ":" + shim;
    const Ended ended = sandbox.run_measured({kSubject, "fork"}, {{"LD_PRELOAD", both}});
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
    const auto children = children_in(sandbox);
    ASSERT_EQ(children.found.size(), first ? 2u : 1u);
    for (const auto& [path, child] : children.found) {
      EXPECT_EQ(child.process.identity.image, 0u);
      EXPECT_EQ(allocated_in_bucket_of(child, 200), 300);
      EXPECT_EQ(allocated_in_bucket_of(child, 70'000), 1) << "the handler's own";
    }
  }
}

TEST(Exec, FromAThreadSavesTheEarlierImage) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, "exec-from-thread", kSubject, "exec", kSubject, "return"}).exit_code, 7);
  std::map<uint32_t, int64_t> by_image;
  for (const auto& [path, snapshot] : sandbox.snapshots()) {
    by_image[snapshot.process.identity.image] = allocated_in_bucket_of(snapshot, 100);
  }
  ASSERT_EQ(by_image.size(), 3u);
  for (const auto& [image, count] : by_image) EXPECT_GE(count, 1000) << image;
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
