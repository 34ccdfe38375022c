// SPDX-License-Identifier: MIT
//
// The tables of a measured process: small at first, longer as they fill, and when they are full they drop what comes
// and count it, while the program goes on.

#include <gtest/gtest.h>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

reader::Stacks sampled(const std::string& scenario) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, scenario}, {{"HEAPSTER_STACKS", "1"}}).exit_code, 0);
  const reader::Snapshot snapshot = sandbox.snapshot();
  return snapshot.stacks.value_or(reader::Stacks{});
}

TEST(Tables, AreSmallAtFirst) {
  constexpr int64_t kMost = 1024;  // KiB
  const auto mapped = [](const char* mean) {
    Sandbox sandbox;
    const Ended ended =
        sandbox.run_measured({"sed", "-n", "s/^VmSize:[^0-9]*/VmSize /;s/ kB//;/^VmSize/p", "/proc/self/status"},
                             {{"HEAPSTER_STACKS", mean}});
    return facts(ended.out).at("VmSize");
  };
  const int64_t without = mapped("");
  EXPECT_LT(mapped("1") - without, kMost);
  EXPECT_LT(mapped("512K") - without, kMost);
}

TEST(Tables, OfStacksDropWhatFindsNoRoom) {
  const reader::Stacks stacks = sampled("many-stacks");
  EXPECT_EQ(stacks.stacks.size(), kMaxStacks);
  EXPECT_GT(stacks.sampling.stacks_dropped, 30'000u);
  EXPECT_LT(stacks.sampling.stacks_dropped, 40'000u);
  EXPECT_EQ(stacks.sampling.samples_dropped, 0u);
  EXPECT_EQ(stacks.damaged, 0u);
  EXPECT_GE(stacks.total().freed_count / kWholeBlock, kMaxStacks - 100);
}

TEST(Tables, OfSamplesDropWhatFindsNoRoomAndTakeOthersLater) {
  const reader::Stacks stacks = sampled("crowd-of-samples");
  EXPECT_GT(stacks.sampling.samples_dropped, 1'200'000u - kMaxSamples - 1000);
  EXPECT_LT(stacks.sampling.samples_dropped, 1'200'000u - kMaxSamples / 2);
  EXPECT_EQ(stacks.sampling.stacks_dropped, 0u);
  EXPECT_EQ(stacks.damaged, 0u);
  EXPECT_GE(stacks.samples.size(), 1000u) << "those that came when there was room again";
  EXPECT_LT(stacks.samples.size(), 1100u);
  EXPECT_EQ(stacks.samples.size(), stacks.total().live_samples());
}

// Where the kernel refuses more, that is told, and it is not asked again for each block.
TEST(Tables, ThatCannotGrowSaySo) {
  Sandbox sandbox;
  Variables variables = sandbox.measured();
  const std::string preload = variables["LD_PRELOAD"];
  variables.erase("LD_PRELOAD");
  variables["HEAPSTER_STACKS"] = "1";
  const Ended ended = sandbox.run({"/bin/sh", "-c", "ulimit -v 130000; exec \"$@\"", "sh", "/usr/bin/env",
                                   "LD_PRELOAD=" + preload, "MALLOC_ARENA_MAX=1", kSubject, "crowd-of-samples"},
                                  variables);
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal << ended.err;
  const reader::Snapshot snapshot = sandbox.snapshot();
  EXPECT_TRUE(has_note(snapshot, "stacks_no_room"));
  EXPECT_GT(snapshot.stacks->sampling.samples_dropped, 1'200'000u - kMaxSamples);
  EXPECT_GT(snapshot.stacks->total().samples, 100'000u);
}

}  // namespace
}  // namespace heapster::test
