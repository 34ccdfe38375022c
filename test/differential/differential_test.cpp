// SPDX-License-Identifier: MIT
//
// The same random sequence of calls twice, bare and measured: whatever the program could see has to
// be the same, and heapster's numbers have to be the program's own account, to the last byte.
//
// Addresses are not randomized: where the heap begins decides how it falls into pieces, and with it exact
// usable sizes. Together the runs below make some 13 million calls under heapster. Every seed is printed; the last
// one of each test is another one in every run.

#include <gtest/gtest.h>
#include <sys/personality.h>

#include <algorithm>
#include <iostream>
#include <random>
#include <sstream>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSequence = program_path("sequence");

struct Length {
  uint64_t rounds;
  uint64_t per_round;
  uint64_t threads;
};
constexpr Length kAlone{400, 4000, 1};
constexpr Length kTogether{200, 2000, 4};
constexpr Length kShort{100, 3000, 1};
constexpr Length kShortTogether{60, 1250, 4};

// The library of a Debian allocator; heapster-run knows the same names.
std::string library_of(const std::string& allocator) {
  if (allocator == "jemalloc") return "libjemalloc.so.2";
  if (allocator == "mimalloc") return "libmimalloc.so.2";
  return "libtcmalloc_minimal.so.4";
}

uint64_t random_seed() { return std::random_device{}() % 1'000'000'000; }

class Sequence {
 public:
  Sequence(uint64_t seed, Length length, std::string functions)
      : seed_(seed), length_(length), functions_(std::move(functions)) {
    std::cout << "seed " << seed << ": " << length.threads << " threads, " << length.rounds << " rounds of "
              << length.per_round << " operations each\n";
  }

  Words command() const {
    return {kSequence,
            std::to_string(seed_),
            std::to_string(length_.rounds),
            std::to_string(length_.per_round),
            std::to_string(length_.threads),
            functions_};
  }
  // The same, with one round told in words.
  Words command_aloud(uint64_t round) const {
    Words words = command();
    words.insert(words.end(), {std::to_string(round), std::to_string(round)});
    return words;
  }
  // The same program, threads and all, without an operation: what it allocates besides.
  Words command_idle() const {
    Words words = command();
    words[3] = "0";
    return words;
  }

 private:
  uint64_t seed_;
  Length length_;
  std::string functions_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string first_difference(const std::string& a, const std::string& b) {
  const auto left = lines_of(a);
  const auto right = lines_of(b);
  const size_t shorter = std::min(left.size(), right.size());
  for (size_t i = 0; i < shorter; ++i) {
    if (left[i] != right[i]) return "  bare:  " + left[i] + "\n  under: " + right[i] + "\n";
  }
  return left.size() == right.size() ? "" : "  one of them ended early\n";
}

// All but the live bytes in the end: how blocks fall into pieces depends on which thread came first.
std::string comparable(const std::string& out) { return out.substr(0, out.find("use_curr")); }

// Empty where the two runs saw the same; else where they parted, down to the operation.
std::string parted(const Sequence& sequence, const Variables& bare, const Variables& under) {
  personality(ADDR_NO_RANDOMIZE);  // inherited by what we run
  Sandbox sandbox;
  const Ended a = sandbox.run(sequence.command(), bare);
  const Ended b = sandbox.run(sequence.command(), under);
  EXPECT_EQ(a.exit_code, 0) << "signal " << a.signal << "\n" << a.err;
  if (comparable(a.out) == comparable(b.out) && a.exit_code == b.exit_code && a.signal == b.signal) return "";
  const auto left = lines_of(a.out);
  const auto right = lines_of(b.out);
  uint64_t round = 0;
  while (round < std::min(left.size(), right.size()) && left[round] == right[round]) ++round;
  const std::string detail = first_difference(sandbox.run(sequence.command_aloud(round), bare).out,
                                              sandbox.run(sequence.command_aloud(round), under).out);
  return "exit " + std::to_string(a.exit_code) + " and " + std::to_string(b.exit_code) + ", signal " +
         std::to_string(b.signal) + "; parted in round " + std::to_string(round) + "\n" + detail + b.err;
}

// The program's account is heapster's, less what the same program allocates without an operation.
void expect_counted(const Sequence& sequence, const Variables& under) {
  Sandbox idle;
  Variables variables = under;
  variables["HEAPSTER_RUN_DIR"] = idle.run_directory();
  ASSERT_EQ(idle.run(sequence.command_idle(), variables).exit_code, 0);
  Sandbox busy;
  variables["HEAPSTER_RUN_DIR"] = busy.run_directory();
  const Ended ended = busy.run(sequence.command(), variables);
  const auto before = idle.snapshot();
  const auto after = busy.snapshot();
  const std::string account = ended.out.substr(std::min(ended.out.size(), ended.out.find("alloc_count")));
  const auto known = facts(account);
  EXPECT_EQ(known.size(), 11u);
  for (const auto& [name, value] : known) EXPECT_EQ(figure(after, name) - figure(before, name), value) << name;
}

std::string functions_of(const Variables& variables) {
  Sandbox sandbox;
  return sandbox.run({kSequence, "functions"}, variables).out;
}

Variables preloading(const std::string& list) { return {{"LD_PRELOAD", list}, {"HEAPSTER_OUT", "s.heap"}}; }

Variables heapster_over(const std::string& library, const std::string& stacks) {
  Variables variables = preloading(preload_path() + (library.empty() ? "" : ":" + library));
  if (!stacks.empty()) variables["HEAPSTER_STACKS"] = stacks;
  return variables;
}

void expect_the_same(const Length& length, std::vector<uint64_t> seeds, const std::string& library,
                     const std::string& stacks = "") {
  const Variables bare = library.empty() ? Variables{} : preloading(library);
  const std::string functions = functions_of(bare);
  seeds.push_back(random_seed());
  for (const uint64_t seed : seeds) {
    const Sequence sequence(seed, length, functions);
    EXPECT_EQ(parted(sequence, bare, heapster_over(library, stacks)), "");
    expect_counted(sequence, heapster_over(library, stacks));
  }
}

TEST(OverLibc, OneThreadSeesTheSame) {
  EXPECT_EQ(functions_of({}), "mapvV");
  expect_the_same(kAlone, {1, 2}, "");
}

TEST(OverLibc, FourThreadsSeeTheSame) { expect_the_same(kTogether, {3, 4}, ""); }

// Every call sampled, and some: two ways through free and realloc.
class WithStacks : public testing::TestWithParam<const char*> {};

TEST_P(WithStacks, OneThreadSeesTheSame) { expect_the_same(kShort, {8}, "", GetParam()); }

TEST_P(WithStacks, FourThreadsSeeTheSame) { expect_the_same(kShortTogether, {9}, "", GetParam()); }

TEST_P(WithStacks, OverAnotherAllocatorTheSameIsSeen) {
  expect_the_same(kShort, {}, library_of("jemalloc"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(OneIn, WithStacks, testing::Values("1", "16K"),
                         [](const auto& test) { return std::string(test.param); });

class OverAnother : public testing::TestWithParam<const char*> {
 protected:
  std::string library() const { return library_of(GetParam()); }
};

TEST_P(OverAnother, OneThreadSeesTheSame) { expect_the_same(kShort, {5}, library()); }

TEST_P(OverAnother, FourThreadsSeeTheSame) { expect_the_same(kShortTogether, {6}, library()); }

// Loaded before heapster, the allocator takes all calls: nothing is seen, and the report says so.
TEST_P(OverAnother, StandingFirstItIsLeftAlone) {
  const Variables bare = preloading(library());
  Variables under = preloading(library() + ":" + preload_path());
  const Sequence sequence(random_seed(), kShort, functions_of(bare));
  EXPECT_EQ(parted(sequence, bare, under), "");
  Sandbox sandbox;
  under["HEAPSTER_RUN_DIR"] = sandbox.run_directory();
  ASSERT_EQ(sandbox.run(sequence.command(), under).exit_code, 0);
  const auto snapshot = sandbox.snapshot();
  EXPECT_EQ(coverage(snapshot).verdict, "none");
  EXPECT_TRUE(has_note(snapshot, "allocator_before_us"));
  EXPECT_EQ(figure(snapshot, "alloc_count"), 0);
}

INSTANTIATE_TEST_SUITE_P(Allocators, OverAnother, testing::Values("jemalloc", "mimalloc", "tcmalloc"),
                         [](const auto& test) { return std::string(test.param); });

// The proof that the above can fail: preloads with a fault that shows every 5,003rd time.
class Fault : public testing::TestWithParam<const char*> {};

TEST_P(Fault, IsFound) {
  const Sequence sequence(7, kShort, functions_of({}));
  const Variables faulty = {{"LD_PRELOAD", program_path("libfaulty.so")}, {"FAULT", GetParam()}};
  const std::string found = parted(sequence, {}, faulty);
  EXPECT_NE(found.find("operation "), std::string::npos) << "not found, or not located: " << found;
}

INSTANTIATE_TEST_SUITE_P(Planted, Fault, testing::Values("errno", "zero", "contents", "pointer", "usable"),
                         [](const auto& test) { return std::string(test.param); });

// A preload without a fault is not blamed.
TEST(Fault, IsNotFoundWhereThereIsNone) {
  EXPECT_EQ(parted(Sequence(7, kShort, functions_of({})), {}, {{"LD_PRELOAD", program_path("libfaulty.so")}}), "");
}

}  // namespace
}  // namespace heapster::test
