// SPDX-License-Identifier: MIT
//
// Wherever and whenever a program allocates, it is counted, and the program runs as without us.

#include <gtest/gtest.h>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

struct Place {
  const char* scenario;
  int64_t blocks;
};

class Places : public testing::TestWithParam<Place> {};

TEST_P(Places, AreCountedExactly) {
  const Place place = GetParam();
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, place.scenario});
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal;
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(allocated_in_bucket_of(sandbox.snapshot(), 3000), place.blocks);
}

INSTANTIATE_TEST_SUITE_P(Every, Places,
                         testing::Values(Place{"thread-destructors", 700}, Place{"after-main", 100},
                                         Place{"small-stacks", 100}, Place{"contexts", 100},
                                         Place{"alternate-stacks", 100}),
                         [](const auto& test) {
                           std::string name = test.param.scenario;
                           std::erase(name, '-');
                           return name;
                         });

// Where advice is answered but not taken, nothing is promised: counted in what can be had otherwise, and told.
TEST(LyingKernel, IsNotBelieved) {
  const Sandbox sandbox;
  const Ended ended = sandbox.run_measured({program_path("lying_kernel"), kSubject, "eight-exits"},
                                           {{"HEAPSTER_STACKS", "1"}, {"HEAPSTER_OUT", "%e.heap"}});
  ASSERT_EQ(ended.exit_code, 7) << "signal " << ended.signal << ", " << ended.err;
  const auto snapshot = reader::load(sandbox.path("subject.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(allocated_in_bucket_of(*snapshot, 5000), 30'000);
  EXPECT_TRUE(has_note(*snapshot, "stacks_refused"));
}

// A count that is loaded, then interrupted, then stored would lose what the handler counted.
TEST(Handlers, InTheMiddleOfACallLoseNothing) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "handlers"});
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal;
  const auto known = facts(ended.out);
  Sandbox idle;
  idle.run_measured({kSubject, "nothing"});
  const auto before = idle.snapshot();
  const auto after = sandbox.snapshot();
  const auto more = [&](const char* name) { return figure(after, name) - figure(before, name); };
  for (const char* name : {"free_null_count", "realloc_fail_count", "alloc_fail_count"}) {
    EXPECT_EQ(more(name), known.at("calls")) << name;
  }
}

}  // namespace
}  // namespace heapster::test
