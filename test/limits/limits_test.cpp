// SPDX-License-Identifier: MIT
//
// Programs under a limit keep their own account of malloc_usable_size: that is the witness that live bytes stayed
// within it, and came close to it.

#include <gtest/gtest.h>

#include <algorithm>

#include "reader/find.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

constexpr int64_t kMega = 1024 * 1024;
constexpr int64_t kLimit = 8 * kMega;
constexpr int64_t kBlock = 60'000;
constexpr int kEnomem = 12;

const std::string kCapped = program_path("capped");
const std::string kCappedNew = program_path("capped_new");
const std::string kCaller = program_path("limit_caller");

Variables limited(Variables more = {}) {
  more.insert({"HEAPSTER_LIMIT", "8M"});
  return more;
}

// Live bytes that are not the program's own: the C library's, those of libraries, those from before main.
int64_t others(const std::string& program, const Variables& variables) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({program, "nothing"}, variables).exit_code, 0);
  return figure(sandbox.snapshot(), "use_curr");
}

uint32_t count_of(const reader::Snapshot& snapshot, const std::string& note) {
  const auto found =
      std::find_if(snapshot.notes.begin(), snapshot.notes.end(), [&](const auto& each) { return each.name == note; });
  return found != snapshot.notes.end() ? found->count : 0;
}

// What a run left: the snapshot at its end, and those from before it.
struct Left {
  reader::Snapshot last;
  std::vector<reader::Snapshot> before;
};
Left left_in(const Sandbox& sandbox) {
  Left left;
  for (const auto& found : sandbox.snapshots()) {
    if (found.snapshot.process.life == reader::Life::kExited) {
      left.last = found.snapshot;
    } else {
      left.before.push_back(found.snapshot);
    }
  }
  return left;
}

void expect_reached_once(const Left& left, int64_t block) {
  EXPECT_GE(count_of(left.last, "limit_reached"), 1u);
  EXPECT_GE(figure(left.last, "alloc_fail_count"), 1);
  EXPECT_EQ(left.last.process.limit, static_cast<uint64_t>(kLimit));
  ASSERT_TRUE(left.last.process.limit_reached);
  EXPECT_LE(*left.last.process.limit_reached, left.last.process.duration);
  ASSERT_EQ(left.before.size(), 1u) << "one snapshot, at the first refusal";
  const reader::Snapshot& at_limit = left.before[0];
  EXPECT_EQ(count_of(at_limit, "limit_reached"), 1u);
  EXPECT_EQ(at_limit.process.limit_reached, left.last.process.limit_reached);
  EXPECT_LE(figure(at_limit, "use_curr"), kLimit);
  EXPECT_GT(figure(at_limit, "use_curr"), kLimit - block);
}

class Limit : public testing::TestWithParam<const char*> {
 protected:
  Variables variables() const {
    const std::string library = GetParam();
    if (library.empty()) return limited();
    return limited({{"LD_PRELOAD", new_preload_path() + ":" + library}});
  }
  // What the allocator may round a block up to.
  int64_t rounded(int64_t block) const { return block + block / 4 + 4096; }
};

TEST_P(Limit, MallocFailsAtItAndWorksAgainAfterAFree) {
  const int64_t base = others(kCapped, variables());
  for (const int64_t block : {kBlock, 5 * kBlock}) {
    Sandbox sandbox;
    const Ended ended = sandbox.run_measured({kCapped, "fill", std::to_string(block)}, variables());
    ASSERT_EQ(ended.exit_code, 0) << ended.out;
    auto known = facts(ended.out);
    EXPECT_EQ(known["errno"], kEnomem);
    EXPECT_LE(known["own"] + base, kLimit);
    EXPECT_GT(known["own"] + base, kLimit - rounded(block));
    EXPECT_LE(known["own_again"] + base, kLimit);
    EXPECT_NEAR(static_cast<double>(known["own_again"]), static_cast<double>(known["own"]), 10 * 4096);
    expect_reached_once(left_in(sandbox), rounded(block));
  }
}

TEST_P(Limit, EachFormIsRefusedAsItShouldBe) {
  Sandbox sandbox;
  const int forms = std::string(GetParam()) == "libjemalloc.so.2" ? 9 : 10;  // it has no pvalloc
  const Ended ended = sandbox.run_measured({kCapped, "family", std::to_string(forms)}, variables());
  EXPECT_EQ(ended.exit_code, 0) << ended.out;
  const Left left = left_in(sandbox);
  expect_reached_once(left, rounded(kBlock));
  EXPECT_EQ(figure(left.last, "realloc_fail_count"), 2);            // realloc and reallocarray
  EXPECT_EQ(figure(left.last, "alloc_fail_count"), 2 + forms - 2);  // two that ended the filling, and the other forms
  EXPECT_EQ(count_of(left.last, "limit_reached"), 2 + forms);
}

TEST_P(Limit, OperatorNewThrowsAndWorksAgainAfterADelete) {
  const int64_t base = others(kCappedNew, variables());
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCappedNew, "throw"}, variables());
  ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err << ended.signal;
  auto known = facts(ended.out);
  EXPECT_LE(known["own"] + base, kLimit);
  EXPECT_GT(known["own"] + base, kLimit - 2 * rounded(kBlock));  // what an exception takes besides
  EXPECT_EQ(known["own_again"], known["own"]);
  const Left left = left_in(sandbox);
  expect_reached_once(left, rounded(kBlock));
  EXPECT_EQ(coverage(left.last).verdict, "full");
  EXPECT_EQ(figure(left.last, "alloc_fail_count"), count_of(left.last, "limit_reached"));
}

TEST_P(Limit, EachFormOfNewIsRefusedAsItShouldBe) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCappedNew, "forms"}, variables());
  EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err << ended.signal;
}

TEST_P(Limit, TheNewHandlerMayMakeRoom) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCappedNew, "handler"}, variables());
  EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err << ended.signal;
  EXPECT_EQ(facts(ended.out)["handled"], 2);
}

// What frees what is not to be told apart here: each block is counted once when it comes and once when it goes.
TEST_P(Limit, UnderItOperatorsAreCountedOnce) {
  const std::string forms = program_path("new_forms");
  Variables roomy = variables();
  roomy["HEAPSTER_LIMIT"] = "1G";
  Sandbox idle, busy;
  ASSERT_EQ(idle.run_measured({forms, "0"}, roomy).exit_code, 0);
  const Ended ended = busy.run_measured({forms, "40"}, roomy);
  const auto before = idle.snapshot(), after = busy.snapshot();
  for (const auto& [name, value] : facts(ended.out))
    EXPECT_EQ(figure(after, name) - figure(before, name), value) << name;
}

INSTANTIATE_TEST_SUITE_P(Over, Limit,
                         testing::Values("", "libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"),
                         [](const auto& test) {
                           const std::string library = test.param;
                           return library.empty() ? "libc" : library.substr(0, library.find_first_of("_."));
                         });

class LimitOfThreads : public testing::TestWithParam<const char*> {};

// With small blocks the bound is kPublishBound for each thread; a large one may come from each at the same moment.
TEST_P(LimitOfThreads, IsKeptWithinTheBound) {
  const Variables variables = limited({{"HEAPSTER_LIMIT", "8M"}, {"HEAPSTER_STACKS", GetParam()}});
  for (const int64_t most : {int64_t{60'000}, kMega}) {
    Sandbox sandbox;
    const Ended ended = sandbox.run_measured({kCappedNew, "threads", std::to_string(most)}, variables);
    ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.err << ended.signal;
    auto known = facts(ended.out);
    EXPECT_LE(known["highest"], kLimit + 8 * std::max(most, kPublishBound));
    EXPECT_GT(known["highest"], kLimit / 2);
    EXPECT_GT(known["refused"], 100);
    const Left left = left_in(sandbox);
    EXPECT_EQ(left.before.size(), 1u);
    EXPECT_EQ(count_of(left.last, "limit_reached"), known["refused"]);
    EXPECT_EQ(figure(left.last, "alloc_fail_count"), known["refused"]);
    EXPECT_LT(figure(left.last, "use_curr"), kMega) << "what threads held is given back";
  }
}
INSTANTIATE_TEST_SUITE_P(Sampling, LimitOfThreads, testing::Values("4K", "1"),
                         [](const auto& test) { return "one_in_" + std::string(test.param); });

TEST(LimitAndStacks, GoTogether) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "family"}, limited({{"HEAPSTER_STACKS", "1"}}));
  EXPECT_EQ(ended.exit_code, 0) << ended.out;
  const Left left = left_in(sandbox);
  expect_reached_once(left, kBlock + 4096);
  ASSERT_TRUE(left.last.stacks);
  EXPECT_EQ(left.last.stacks->total().live_count() / kWholeBlock,
            static_cast<uint64_t>(figure(left.last, "live_count")));
  EXPECT_EQ(static_cast<int64_t>(left.last.stacks->total().live_bytes()), figure(left.last, "use_curr"));
}

// The reserve is max(64 KiB, limit/64) for blocks of 4 KiB and less.
TEST(LimitReserve, LetsTheProgramTellOfItsEnd) {
  for (const auto& [limit, bytes, reserve] :
       {std::tuple("8M", kLimit, 128 * 1024L), std::tuple("1M", kMega, 64 * 1024L)}) {
    Sandbox sandbox;
    const Ended ended = sandbox.run_measured({kCapped, "reserve", "60000"}, {{"HEAPSTER_LIMIT", limit}});
    ASSERT_EQ(ended.exit_code, 0) << ended.out;
    EXPECT_NE(ended.out.find("the end can be told"), std::string::npos);
    const size_t text = ended.out.find("the end");
    auto known = facts(ended.out.substr(0, text));
    EXPECT_EQ(known["large"], 0);
    EXPECT_GT(known["reserve"], reserve - 64);
    const auto last = left_in(sandbox).last;
    EXPECT_LE(figure(last, "use_max"), bytes + reserve);
    EXPECT_GT(figure(last, "use_max"), bytes + reserve - 64);
  }
}

TEST(LimitInAChild, IsItsOwnWithWhatLivedAtTheFork) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "child"}, limited());
  ASSERT_EQ(ended.exit_code, 0) << ended.out;
  auto known = facts(ended.out);
  EXPECT_GT(known["own"], kLimit - 2 * kBlock);
  EXPECT_LE(known["own"], kLimit);
  EXPECT_EQ(known["parent_can"], 1);
  const Left parent = left_in(sandbox);
  EXPECT_TRUE(parent.before.empty());
  EXPECT_EQ(count_of(parent.last, "limit_reached"), 0u);
  const auto children = reader::list_snapshots(sandbox.run_directory());
  ASSERT_EQ(children->found.size(), 2u);
  for (const auto& child : children->found) {
    EXPECT_EQ(count_of(child.snapshot, "limit_reached"), 1u);
    EXPECT_LE(figure(child.snapshot, "use_curr"), kLimit);
    EXPECT_GT(figure(child.snapshot, "use_curr"), kLimit - kBlock - 4096);
  }
}

TEST(LimitInAHandler, IsReachedThereAsElsewhere) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kCapped, "in-handler"}, limited());
  ASSERT_EQ(ended.exit_code, 0) << ended.out << ended.signal;
  EXPECT_EQ(facts(ended.out)["errno"], kEnomem);
  expect_reached_once(left_in(sandbox), kBlock + 4096);
}

class LimitAtRunTime : public testing::TestWithParam<const char*> {};

TEST_P(LimitAtRunTime, IsInForceAtOnceWithAndWithoutSampling) {
  for (const char* stacks : {"", "1", "4K"}) {
    Sandbox sandbox;
    Variables variables;
    if (*stacks != '\0') variables["HEAPSTER_STACKS"] = stacks;
    const Ended ended = sandbox.run_measured({kCaller, GetParam()}, variables);
    EXPECT_EQ(ended.exit_code, 0) << "stacks " << stacks << ": " << ended.out << ended.err << ended.signal;
  }
}
INSTANTIATE_TEST_SUITE_P(In, LimitAtRunTime, testing::Values("plain", "busy", "silent", "forked"),
                         [](const auto& test) { return std::string(test.param); });

TEST(LimitThatIsNone, IsToldAndIgnored) {
  for (const char* value : {"", "0", "12X", "-1", "9999999999G"}) {
    Sandbox sandbox;
    EXPECT_EQ(sandbox.run_measured({kCapped, "sizes"}, {{"HEAPSTER_LIMIT", value}}).exit_code, 0) << value;
    const auto snapshot = sandbox.snapshot();
    EXPECT_EQ(snapshot.process.refused, std::vector<std::string>{std::string("HEAPSTER_LIMIT=") + value});
    EXPECT_EQ(count_of(snapshot, "option_refused"), 1u);
    EXPECT_EQ(snapshot.process.limit, 0u);
    EXPECT_EQ(figure(snapshot, "alloc_fail_count"), 0);
  }
}

TEST(LimitOnTheCommandLine, IsSetAndShown) {
  Sandbox sandbox;
  const Variables place = {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}};
  const Ended ended = sandbox.run({heapster_path(), "run", "--limit", "8M", "--", kCapped, "fill", "60000"}, place);
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_NE(ended.err.find("limit"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("8.00 MiB"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("first reached at"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("would have passed the limit"), std::string::npos) << ended.err;
  for (const char* bad : {"0", "12X", "9999999999G"}) {
    const Ended refused = sandbox.run({heapster_path(), "run", "--limit", bad, "--", kCapped, "nothing"}, place);
    EXPECT_EQ(refused.exit_code, 2) << bad;
  }
}

}  // namespace
}  // namespace heapster::test
