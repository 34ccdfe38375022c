// SPDX-License-Identifier: MIT
//
// What the preload samples of real programs. With every allocation sampled, stacks have to add up to the counters,
// exactly; otherwise within the error that theory gives them.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <numeric>

#include "reader/find.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

Ended run_sampled(const Sandbox& sandbox, const Words& words, const std::string& mean = "1", Variables more = {}) {
  Words command = {kSubject};
  command.insert(command.end(), words.begin(), words.end());
  more["HEAPSTER_STACKS"] = mean;
  return sandbox.run_measured(command, more);
}

// Sampling begins with the constructor; what was allocated before it is counted, and not sampled.
struct Early {
  int64_t allocs, live_bytes, live_count;
};
Early early() {
  Sandbox sandbox;
  run_sampled(sandbox, {"nothing"});
  const auto snapshot = sandbox.snapshot();
  const auto total = snapshot.stacks->total();
  return {figure(snapshot, "alloc_count") - static_cast<int64_t>(total.alloc_count / kWholeBlock),
          figure(snapshot, "use_curr") - static_cast<int64_t>(total.live_bytes()),
          figure(snapshot, "live_count") - static_cast<int64_t>(total.live_count() / kWholeBlock)};
}

class Exact : public testing::TestWithParam<const char*> {};

TEST_P(Exact, StacksAddUpToTheCounters) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {GetParam()}).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  ASSERT_TRUE(snapshot.stacks);
  const auto total = snapshot.stacks->total();
  const Early before = early();
  EXPECT_EQ(static_cast<int64_t>(total.alloc_count / kWholeBlock), figure(snapshot, "alloc_count") - before.allocs);
  EXPECT_EQ(static_cast<int64_t>(total.live_bytes()), figure(snapshot, "use_curr") - before.live_bytes);
  EXPECT_EQ(static_cast<int64_t>(total.live_count() / kWholeBlock), figure(snapshot, "live_count") - before.live_count);
  EXPECT_EQ(snapshot.stacks->samples.size(), total.live_samples());
  EXPECT_EQ(snapshot.stacks->dropped(), 0u);
  EXPECT_EQ(snapshot.stacks->damaged, 0u);
}

INSTANTIATE_TEST_SUITE_P(Of, Exact, testing::Values("threads", "reallocations", "reuse", "handover", "shrink-and-grow"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Sampled, EstimatesAreWithinTheirError) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"threads"}, "16K").exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  const auto total = snapshot.stacks->total();
  const auto samples = static_cast<double>(total.samples);
  ASSERT_GT(samples, 500);
  const auto truth = static_cast<double>(figure(snapshot, "alloc_count"));
  EXPECT_NEAR(static_cast<double>(total.alloc_count) / kWholeBlock, truth, 5 * truth / std::sqrt(samples));
}

// A block's sample is of the bytes that it has; those that it gave back were drawn over, too, and count no more.
TEST(Sampled, BlocksThatShrinkAndGrowAgainStandForWhatLives) {
  Sandbox sandbox;
  const Ended ended = run_sampled(sandbox, {"shrink-and-grow"}, "16K");
  ASSERT_EQ(ended.exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  const auto& samples = snapshot.stacks->samples;
  ASSERT_GT(samples.size(), 300u);
  double live = 0, blocks = 0, variance = 0, count_variance = 0;
  for (const reader::Sample& sample : samples) {
    const double p = static_cast<double>(kWholeBlock) / static_cast<double>(sample.weight_count);
    live += static_cast<double>(sample.weight_bytes);
    blocks += 1 / p;
    variance += std::pow(static_cast<double>(sample.weight_bytes), 2) * (1 - p);
    count_variance += (1 - p) / (p * p);
  }
  EXPECT_NEAR(live, static_cast<double>(facts(ended.out).at("live")), 5 * std::sqrt(variance));
  EXPECT_NEAR(blocks, static_cast<double>(figure(snapshot, "live_count")), 5 * std::sqrt(count_variance));
  const auto total = snapshot.stacks->total();
  EXPECT_EQ(samples.size(), total.live_samples());
  EXPECT_NEAR(static_cast<double>(total.live_bytes()), live, 1);
  EXPECT_NEAR(static_cast<double>(total.live_count()) / kWholeBlock, blocks, 1);
}

// The first lifetimes of a stack are all told; then one stands for eight, and together they stand for all.
TEST(Sampled, LifetimesStandForAllThatWereFreed) {
  constexpr uint64_t kAllTold = 1024;
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"reuse"}).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  uint64_t many = 0;
  for (const auto& stack : snapshot.stacks->stacks) {
    const auto& told = stack.figures.lifetimes;
    const auto freed = static_cast<double>(stack.figures.freed_samples);
    const auto sum = static_cast<double>(std::accumulate(told.begin(), told.end(), uint64_t{0}));
    EXPECT_NEAR(sum, freed, stack.figures.freed_samples <= kAllTold ? 0 : 200);
    if (stack.figures.freed_samples > 8 * kAllTold) ++many;
  }
  EXPECT_GE(many, 1u);
}

// One in 256, wherever the blocks lie.
TEST(Sampled, CallsAreTimedWhateverTheAddress) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"one-address"}).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  const auto& told = snapshot.stacks->sampling;
  for (const auto* histogram : {&told.malloc_nanoseconds, &told.free_nanoseconds}) {
    const uint64_t timed = std::accumulate(std::begin(*histogram), std::end(*histogram), uint64_t{0});
    EXPECT_GT(timed, 50'000u / 256 / 2);
    EXPECT_LT(timed, 50'000u / 256 * 2);
  }
}

// A freed block that the filter did not know of would be told as live.
TEST(Sampled, HoweverManyLiveAtOnceEachIsFollowed) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"many-samples"}, "4K").exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  EXPECT_GT(snapshot.stacks->total().samples, 4000u);
  EXPECT_LT(snapshot.stacks->samples.size(), 10u) << "what the runtime keeps for itself";
  EXPECT_EQ(snapshot.stacks->dropped(), 0u);
}

TEST(Sampled, ResultsAndErrnoAreLibcs) {
  for (const char* mean : {"1", "16", "16K"}) {
    for (const char* scenario : {"failures", "reallocs"}) {
      Sandbox sandbox;
      EXPECT_EQ(run_sampled(sandbox, {scenario}, mean).exit_code, 0) << scenario << ", one in " << mean;
    }
  }
}

TEST(Sampled, StacksReachMain) {
  Sandbox sandbox;
  run_sampled(sandbox, {"return"});
  const auto snapshot = sandbox.snapshot();
  uint64_t complete = 0;
  for (const auto& stack : snapshot.stacks->stacks) complete += stack.truncated ? 0 : stack.figures.samples;
  EXPECT_GE(complete, 1000u);
  const auto& modules = snapshot.stacks->modules;
  EXPECT_TRUE(std::any_of(modules.begin(), modules.end(),
                          [](const auto& module) { return module.path == kSubject && !module.build_id.empty(); }));
}

// A stack without a limit is followed as deep as it goes, wherever the libraries lie then.
TEST(Sampled, StacksOfAnyDepthAreKnown) {
  Sandbox sandbox;
  Variables variables = sandbox.measured();
  variables["HEAPSTER_STACKS"] = "1";
  const std::string preload = "LD_PRELOAD=" + variables.at("LD_PRELOAD");
  variables.erase("LD_PRELOAD");
  const Ended ended = sandbox.run(
      {"/bin/sh", "-c", R"(ulimit -s unlimited && exec "$@")", "sh", "/usr/bin/env", preload, kSubject, "deep-stack"},
      variables);
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal << ended.err;
  const auto snapshot = sandbox.snapshot();
  ASSERT_TRUE(snapshot.stacks);
  EXPECT_GE(snapshot.stacks->total().samples, 500u);
  EXPECT_EQ(snapshot.stacks->sampling.stack_unknown, 0u);
  EXPECT_EQ(snapshot.stacks->sampling.stack_small, 0u);
}

// Of such an executable a segment is found, not the whole, and most lie far from its first page.
TEST(Sampled, ABuildIsKnownWithGapsBetweenItsSegments) {
  Sandbox sandbox;
  const std::string program = program_path("gaps");
  ASSERT_EQ(sandbox.run_measured({program, "one-address"}, {{"HEAPSTER_STACKS", "1"}}).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  size_t own = 0;
  for (const auto& module : snapshot.stacks->modules) {
    if (module.path != program) continue;
    ++own;
    EXPECT_FALSE(module.build_id.empty());
  }
  EXPECT_GE(own, 1u);
}

// What the parent sampled is nothing to its child.
class Inherited : public testing::TestWithParam<const char*> {};

TEST_P(Inherited, AChildStartsWithoutItsParentsSamples) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"inherited"}, GetParam()).exit_code, 0);
  const auto children = reader::list_snapshots(sandbox.run_directory());
  ASSERT_EQ(children->found.size(), 1u);
  const auto& child = children->found[0].snapshot;
  const auto total = child.stacks->total();
  EXPECT_EQ(total.alloc_count / kWholeBlock, 100u);
  EXPECT_EQ(total.freed_count, 0u);
  EXPECT_EQ(child.stacks->samples.size(), 100u);
  const auto parent = sandbox.snapshot().stacks->total();
  EXPECT_GE(parent.live_count() / kWholeBlock, 1000u);
}

// With and without the filter; so small a distance samples all but one block in millions.
INSTANTIATE_TEST_SUITE_P(By, Inherited, testing::Values("1", "50"),
                         [](const auto& test) { return "one_in_" + std::string(test.param); });

// Fibres' and handlers' stacks are nobody's that we know: their blocks are sampled, without a stack.
TEST(Sampled, OnStacksThatAreNotKnownNothingIsRead) {
  for (const char* scenario : {"contexts", "alternate-stacks"}) {
    Sandbox sandbox;
    ASSERT_EQ(run_sampled(sandbox, {scenario}).exit_code, 0) << scenario;
    EXPECT_GE(sandbox.snapshot().stacks->sampling.stack_unknown, 100u) << scenario;
  }
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"small-stacks"}).exit_code, 0);
  EXPECT_EQ(sandbox.snapshot().stacks->sampling.stack_unknown, 0u) << "16 KiB are enough";
}

// A handler fails to grow the very block that the thread fails to grow: whoever of them has its sample puts it back.
TEST(Sampled, AHandlerMayInterruptASample) {
  Sandbox sandbox;
  ASSERT_EQ(run_sampled(sandbox, {"handlers"}).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  const auto& samples = snapshot.stacks->samples;
  EXPECT_EQ(samples.size(), snapshot.stacks->total().live_samples());
  const auto held = [](const reader::Sample& sample) { return sample.bytes >= 100 && sample.bytes < 128; };
  EXPECT_EQ(std::count_if(samples.begin(), samples.end(), held), 1);
  EXPECT_EQ(snapshot.stacks->dropped(), 0u);
}

TEST(Sampled, PluginsThatComeAndGoAndThrowHarmNothing) {
  Sandbox sandbox;
  const Ended ended = run_sampled(sandbox, {"dlopen-storm", program_path("libthrowing_plugin.so")});
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal;
  const auto snapshot = sandbox.snapshot();
  const auto& modules = snapshot.stacks->modules;
  EXPECT_TRUE(std::any_of(modules.begin(), modules.end(),
                          [](const auto& module) { return module.path.ends_with("libthrowing_plugin.so"); }));
}

TEST(Sampled, AnExecKeepsTheEarlierImagesStacks) {
  Sandbox sandbox;
  run_sampled(sandbox, {"exec", kSubject, "return"});
  ASSERT_EQ(sandbox.snapshots().size(), 2u);
  for (const auto& [path, snapshot] : sandbox.snapshots()) {
    ASSERT_TRUE(snapshot.stacks) << path;
    EXPECT_GE(snapshot.stacks->total().live_count() / kWholeBlock, 1000u) << path;
  }
}

TEST(Sampled, WithoutTheVariableThereAreNone) {
  Sandbox sandbox;
  sandbox.run_measured({kSubject, "return"});
  EXPECT_FALSE(sandbox.snapshot().stacks);
  for (const char* nonsense : {"many", "0", "-1", "1X", "K"}) {
    Sandbox another;
    EXPECT_EQ(run_sampled(another, {"return"}, nonsense).exit_code, 7);
    EXPECT_FALSE(another.snapshot().stacks);
    EXPECT_TRUE(has_note(another.snapshot(), "option_refused")) << nonsense;
  }
}

}  // namespace
}  // namespace heapster::test
