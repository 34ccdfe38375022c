// SPDX-License-Identifier: MIT
//
// heapster::dynamic_usage against heapster: programs build objects under libheapster.so, and print what the header says
// of each beside what was requested meanwhile (usage_subject.cpp). And what is to say of the answers themselves.

#include "heapster/memory_usage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "support/run.h"

namespace heapster::test {
namespace {

// What malloc adds to a block below its threshold for mmap: rounding up to 16 bytes, from a least size of 24.
constexpr int64_t kMostSlack = 24;

struct Case {
  std::string name;
  bool exact = false;
  int64_t dynamic = 0, lower = 0;
  std::optional<int64_t> upper;
  int64_t requested = 0, allocations = 0, others = 0, live = 0;
};

int64_t number(const std::string& text) {
  int64_t value = 0;
  const auto end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  EXPECT_TRUE(error == std::errc() && stopped == end) << text;
  return value;
}

Case parse(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
  if (words.size() != 9) {
    ADD_FAILURE() << "not a case: " << line;
    return {};
  }
  Case result;
  result.name = words[0];
  result.exact = words[1] == "exact";
  result.dynamic = number(words[2]);
  result.lower = number(words[3]);
  if (words[4] != "-") result.upper = number(words[4]);
  result.requested = number(words[5]);
  result.allocations = number(words[6]);
  result.others = number(words[7]);
  result.live = number(words[8]);
  return result;
}

struct Program {
  const char* name;
  bool layout_known;
};
void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class Usage : public testing::TestWithParam<Program> {
 protected:
  static std::vector<Case> cases() {
    const Ended ended = Sandbox().run_measured({program_path(GetParam().name)}, {{"HEAPSTER_OUT", "none"}});
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    std::vector<Case> result;
    std::istringstream lines(ended.out);
    for (std::string line; std::getline(lines, line);) result.push_back(parse(line));
    return result;
  }
};

// Nothing was freed on the way: what was requested is what the object owns, to the byte.
void expect_requested(const Case& one, bool exact) {
  EXPECT_LE(one.lower, one.requested);
  EXPECT_GE(one.upper.value_or(one.requested), one.requested);
  if (exact) {
    EXPECT_EQ(one.dynamic, one.requested);
  }
}

// Something was: then only usable bytes tell what lives, which are somewhat more than the requested ones.
void expect_within_slack(const Case& one, bool exact) {
  const int64_t slack = kMostSlack * (one.allocations - one.others);
  EXPECT_LE(one.lower, one.live);
  EXPECT_GE(one.upper.value_or(one.live) + slack, one.live);
  if (exact) {
    EXPECT_GE(one.dynamic + slack, one.live);
  }
}

TEST_P(Usage, EveryAnswerHoldsAgainstWhatWasRequested) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    const bool exact = one.exact && GetParam().layout_known;
    if (exact) {
      EXPECT_EQ(one.upper, one.lower);
    }
    EXPECT_EQ(one.dynamic, one.lower);
    one.others == 0 ? expect_requested(one, exact) : expect_within_slack(one, exact);
  }
}

// So that the test above is about something: many kinds of objects, most of them with memory of their own, and most
// built without a free.
TEST_P(Usage, TheCasesAreManyAndAllocate) {
  std::set<std::string> names;
  int allocating = 0, to_the_byte = 0;
  for (const Case& one : cases()) {
    names.insert(one.name);
    allocating += one.allocations > 0;
    to_the_byte += one.allocations > 0 && one.others == 0;
  }
  EXPECT_GE(names.size(), 150U);
  EXPECT_GE(allocating, 110);
  EXPECT_GE(to_the_byte, 80);
}

std::vector<Program> programs() {
  std::vector<Program> all = {{"usage_subject_20", true},
                              {"usage_subject_23", true},
                              {"usage_subject_bounds", false},
                              {"usage_subject_clang_libstdc++", true}};
  if (HEAPSTER_USAGE_OVER_LIBCXX) all.push_back({"usage_subject_clang_libc++", false});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Programs, Usage, testing::ValuesIn(programs()), [](const auto& tested) {
  std::string name = tested.param.name;
  std::replace(name.begin(), name.end(), '+', 'x');
  return name;
});

TEST(UsageAnswers, TotalIsDynamicAndTheObjectItself) {
  const std::vector<std::string> rows(3, std::string(100, 'x'));
  EXPECT_EQ(dynamic_usage(rows), 3 * sizeof(std::string) + 3 * 101);
  EXPECT_EQ(total_usage(rows), sizeof rows + dynamic_usage(rows));
  EXPECT_EQ(total_usage(7), sizeof(int));
}

TEST(UsageAnswers, WhereTheUpperBoundIsUnknownTheLowerOneIsTheAnswer) {
  const std::tuple<std::vector<int>, std::any> half_known{std::vector<int>(10), 5};
  const UsageBounds bounds = dynamic_usage_bounds(half_known);
  EXPECT_EQ(bounds, (UsageBounds{10 * sizeof(int), std::nullopt}));
  EXPECT_FALSE(bounds.exact());
  EXPECT_EQ(dynamic_usage(half_known), bounds.lower);
  EXPECT_TRUE(dynamic_usage_bounds(std::get<0>(half_known)).exact());
}

TEST(UsageAnswers, ArraysAreTheSumOfTheirElements) {
  const std::string rows[2][2] = {{std::string(30, 'x'), {}}, {{}, std::string(40, 'x')}};
  EXPECT_EQ(dynamic_usage(rows), 31U + 41U);
  EXPECT_EQ(dynamic_usage("a literal"), 0U);
}

// Takes over what a pointer leads to, and is made of one without a word.
struct Item {};
struct Owner {
  explicit(false) Owner(const Item*) {}
};
void heapster_usage(UsageMeter& meter, const Owner&) { meter.add_bytes(1000); }

TEST(UsageAnswers, APointerIsNotTakenForWhatItConvertsTo) {
  const Item item;
  EXPECT_EQ(dynamic_usage(&item), 0U);
  EXPECT_EQ(dynamic_usage(Owner(&item)), 1000U);
}

TEST(UsageAnswers, WhatIsSharedIsCountedOnceInACallAndAgainInTheNext) {
  const auto one = std::make_shared<std::vector<int>>(10);
  const std::size_t alone = dynamic_usage(one);
  EXPECT_EQ(dynamic_usage(std::pair(one, one)), alone);
  EXPECT_EQ(dynamic_usage(one), alone);
  UsageMeter meter;
  meter.add(one, one);
  meter.add(one);
  EXPECT_EQ(meter.bounds(), (UsageBounds{alone, alone}));
}

}  // namespace
}  // namespace heapster::test
