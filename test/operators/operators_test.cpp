// SPDX-License-Identifier: MIT
//
// Every operator new and delete is counted once, whoever defines it: libstdc++, an allocator that goes
// past malloc, one that does not, and one that only a plugin knows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kForms = program_path("new_forms");

Variables over(const std::string& preload, const std::string& library) {
  return {{"LD_PRELOAD", library.empty() ? preload : preload + ":" + library}, {"HEAPSTER_OUT", "s.heap"}};
}

reader::Snapshot snapshot_of(const Words& command, const Variables& variables, Ended* ended = nullptr) {
  Sandbox sandbox;
  Variables all = variables;
  all["HEAPSTER_RUN_DIR"] = sandbox.run_directory();
  const Ended now = sandbox.run(command, all);
  EXPECT_EQ(now.exit_code, 0) << now.err << "signal " << now.signal;
  if (ended != nullptr) *ended = now;
  return sandbox.snapshot();
}

void expect_each_counted_once(const Variables& variables) {
  const auto idle = snapshot_of({kForms, "0"}, variables);
  Ended ended;
  const auto busy = snapshot_of({kForms, "40"}, variables, &ended);
  const auto known = facts(ended.out);
  ASSERT_EQ(known.size(), 5u);
  EXPECT_EQ(known.at("alloc_count"), 40 * 24 + 5);
  for (const auto& [name, value] : known) EXPECT_EQ(figure(busy, name) - figure(idle, name), value) << name;
  EXPECT_EQ(coverage(busy).verdict, "full") << testing::PrintToString(coverage(busy).reasons);
}

class Operators : public testing::TestWithParam<const char*> {};

TEST_P(Operators, AreCountedOnce) { expect_each_counted_once(over(new_preload_path(), GetParam())); }

// As without heapster: mimalloc, built as C, aborts.
TEST_P(Operators, FailAsTheyWould) {
  Sandbox sandbox;
  const Words command = {kForms, "fail"};
  const Ended bare = sandbox.run(command, {{"LD_PRELOAD", GetParam()}});
  const Ended under = sandbox.run_measured(command, over(new_preload_path(), GetParam()));
  EXPECT_EQ(under.exit_code, bare.exit_code);
  EXPECT_EQ(under.signal, bare.signal);
  if (std::string(GetParam()) != "libmimalloc.so.2") {
    EXPECT_EQ(bare.exit_code, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Over, Operators,
                         testing::Values("", "libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"),
                         [](const auto& test) {
                           const std::string library = test.param;
                           return library.empty() ? "libc" : library.substr(0, library.find_first_of("_."));
                         });

TEST(OperatorsThatCallMalloc, AreNotCountedTwice) {
  expect_each_counted_once(over(new_preload_path(), program_path("libforwarding.so")));
}

TEST(OperatorsThatCallMalloc, AreCountedByThePlainLibraryOverLibc) {
  expect_each_counted_once(over(preload_path(), ""));
}

// What an allocator builds to answer us goes through the program's operator, and so comes to our malloc.
class ProgramsOwnOperators : public testing::TestWithParam<const char*> {};

TEST_P(ProgramsOwnOperators, AreCountedOnce) {
  for (const std::string& preload : {preload_path(), new_preload_path()}) {
    for (const char* more : {"", "16K", "limited"}) {
      Variables variables = over(preload, GetParam());
      variables[more == std::string("limited") ? "HEAPSTER_LIMIT" : "HEAPSTER_STACKS"] =
          more == std::string("limited") ? "100M" : more;
      const auto idle = snapshot_of({program_path("own_new"), "1"}, variables);
      const auto busy = snapshot_of({program_path("own_new"), "1001"}, variables);
      EXPECT_EQ(figure(busy, "alloc_count") - figure(idle, "alloc_count"), 1000) << preload << more;
      EXPECT_EQ(figure(busy, "dealloc_count") - figure(idle, "dealloc_count"), 1000) << preload << more;
      if (preload == preload_path() && GetParam()[0] != '\0') continue;  // the other forms are the allocator's
      EXPECT_EQ(coverage(busy).verdict, "full") << preload << testing::PrintToString(coverage(busy).reasons);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Over, ProgramsOwnOperators,
                         testing::Values("", "libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4",
                                         "libtcmalloc_minimal_debug.so.4"),
                         [](const auto& test) {
                           std::string name = test.param[0] == '\0' ? "libc" : test.param;
                           name = name.substr(0, name.find(".so"));
                           std::erase(name, '.');
                           return name;
                         });

// The plain library goes without what the allocator's operators do, and says so.
TEST(OperatorsThatPassMalloc, AreMissedByThePlainLibrary) {
  const auto snapshot = snapshot_of({kForms, "40"}, over(preload_path(), "libjemalloc.so.2"));
  EXPECT_LT(figure(snapshot, "alloc_count"), 500) << "the aligned forms of jemalloc do call aligned_alloc";
  EXPECT_EQ(coverage(snapshot).verdict, "partial");
  EXPECT_THAT(coverage(snapshot).reasons, testing::ElementsAre(testing::HasSubstr("libheapster-new.so")));
}

// A C program has nobody who would call them.
TEST(OperatorsThatPassMalloc, AreNoMatterToCPrograms) {
  const auto snapshot =
      snapshot_of({program_path("sequence"), "1", "1", "100", "1", ""}, over(preload_path(), "libjemalloc.so.2"));
  EXPECT_EQ(coverage(snapshot).verdict, "full");
}

// The plugin's operators are bound to ours, and nobody behind us has one: they are found in its scope.
TEST(OperatorsOfAPlugin, AreFoundInItsScope) {
  const Words idle = {program_path("plugin_host"), program_path("libplugin.so"), "1"};  // looks them up as well
  const Words busy = {program_path("plugin_host"), program_path("libplugin.so"), "101"};
  const Variables variables = over(new_preload_path(), "");
  const auto before = snapshot_of(idle, variables);
  const auto after = snapshot_of(busy, variables);
  EXPECT_EQ(figure(after, "alloc_count") - figure(before, "alloc_count"), 100);
  EXPECT_EQ(figure(after, "dealloc_count") - figure(before, "dealloc_count"), 100);
  EXPECT_EQ(coverage(after).verdict, "full");
}

// Loaded when the program runs already, it is noticed at the exit.
TEST(OperatorsOfAPlugin, AreNoticedByThePlainLibrary) {
  const Words busy = {program_path("plugin_host"), program_path("libplugin.so"), "100"};
  EXPECT_EQ(coverage(snapshot_of(busy, over(preload_path(), "libmimalloc.so.2"))).verdict, "partial");
}

// What a plugin allocates out of our reach is not counted, and the verdict says so.
TEST(CallsOutOfReach, AreToldOfADeeplyBoundPlugin) {
  for (const std::string& preload : {preload_path(), new_preload_path()}) {
    const auto snapshot =
        snapshot_of({program_path("plugin_host"), program_path("libplugin.so"), "100", "deep"}, over(preload, ""));
    EXPECT_EQ(coverage(snapshot).verdict, "partial");
    EXPECT_TRUE(has_note(snapshot, "bound_elsewhere"));
  }
}

TEST(CallsOutOfReach, AreToldOfAnotherNamespace) {
  const auto snapshot = snapshot_of({program_path("plugin_host"), program_path("libplugin.so"), "100", "namespace"},
                                    over(preload_path(), ""));
  EXPECT_EQ(coverage(snapshot).verdict, "partial");
  EXPECT_TRUE(has_note(snapshot, "other_namespace"));
}

TEST(CallsOutOfReach, AreNotToldOfAnOrdinaryPlugin) {
  const auto snapshot =
      snapshot_of({program_path("plugin_host"), program_path("libplugin.so"), "100"}, over(preload_path(), ""));
  EXPECT_EQ(coverage(snapshot).verdict, "full");
  EXPECT_GE(figure(snapshot, "alloc_count"), 100);
}

// heapster-run takes the library that the allocator asks for: by its option, from LD_PRELOAD, or where
// nobody asks for one.
class RunOverAny : public testing::Test {
 protected:
  reader::Snapshot run(Words words, Variables variables = {}) {
    Words command = {heapster_path(), "run", "-q", "-o", "s.heap"};
    command.insert(command.end(), words.begin(), words.end());
    variables["HEAPSTER_RUN_DIR"] = sandbox_.run_directory();
    const Ended ended = sandbox_.run(command, variables);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return sandbox_.snapshot();
  }
  std::string report_of(const std::string& program) {
    const Ended ended = sandbox_.run({heapster_path(), "run", "-o", "none", program_path(program)},
                                     {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    return ended.err;
  }
  Sandbox sandbox_;
};

void expect_all_seen(const reader::Snapshot& snapshot) {
  EXPECT_GE(figure(snapshot, "alloc_count"), 965);
  EXPECT_EQ(coverage(snapshot).verdict, "full");
}

class RunOver : public RunOverAny, public testing::WithParamInterface<const char*> {};

TEST_P(RunOver, AnAllocatorByName) { expect_all_seen(run({"--allocator", GetParam(), kForms, "40"})); }

INSTANTIATE_TEST_SUITE_P(Allocators, RunOver, testing::Values("jemalloc", "mimalloc", "tcmalloc"),
                         [](const auto& test) { return std::string(test.param); });

// Its compiler proper has an operator new of its own.
TEST_F(RunOverAny, ACompiler) {
  std::ofstream(sandbox_.path("x.cpp")) << "int main() { return 0; }\n";
  const Ended ended = sandbox_.run(
      {heapster_path(), "run", "-q", "-o", "none", "--allocator", "tcmalloc", "g++", "-fsyntax-only", "x.cpp"},
      {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
}

TEST_F(RunOverAny, APreloadedOne) { expect_all_seen(run({kForms, "40"}, {{"LD_PRELOAD", "libjemalloc.so.2"}})); }
TEST_F(RunOverAny, Libc) { expect_all_seen(run({kForms, "40"})); }

// Only the symbols of the program tell of an allocator that is linked into it.
TEST_F(RunOverAny, AnEmbeddedAllocator) {
  const std::string report = report_of("embedded");
  EXPECT_THAT(report, testing::HasSubstr("coverage partial"));
  EXPECT_THAT(report, testing::HasSubstr("mi_malloc"));
}

TEST_F(RunOverAny, RustWithAnAllocatorOfItsOwn) {
  const std::string report = report_of("rust_bump");
  EXPECT_THAT(report, testing::HasSubstr("coverage partial"));
  EXPECT_THAT(report, testing::HasSubstr("#[global_allocator]"));
}

TEST_F(RunOverAny, RustWithItsDefaultAllocator) {
  EXPECT_THAT(report_of("rust_default"), testing::HasSubstr("coverage full"));
  EXPECT_GE(allocated_in_bucket_of(run({program_path("rust_default")}), 100), 1000);
}

// A heapster of an outer heapster-run makes way for the inner one's.
TEST_F(RunOverAny, AnotherHeapster) {
  expect_all_seen(
      run({kForms, "40"}, {{"LD_PRELOAD", preload_path() + ":libjemalloc.so.2"}, {"HEAPSTER_OUT", "none"}}));
}

}  // namespace
}  // namespace heapster::test
