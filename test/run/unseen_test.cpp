// SPDX-License-Identifier: MIT
//
// Programs that a preload does not see or would break: heapster-run says so in one line, they run as without it, and a
// process that becomes one of them is shown as replaced.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Case {
  const char* program;
  const char* why;
};

class Unseen : public testing::TestWithParam<Case> {};

TEST_P(Unseen, RunsAsWithoutHeapsterAfterOneLine) {
  const Case unseen = GetParam();
  if (!fs::exists(program_path(unseen.program))) GTEST_SKIP() << "cannot be built here";
  const Sandbox sandbox;
  const Ended plain = sandbox.run({program_path(unseen.program)});
  if (plain.exit_code != 7) GTEST_SKIP() << "does not run here: " << plain.err;
  const Ended ended = sandbox.run({heapster_path(), "run", program_path(unseen.program)},
                                  {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(ended.err.substr(0, ended.err.find(':')), "heapster-run");
  EXPECT_THAT(ended.err, HasSubstr(unseen.why));
  EXPECT_THAT(ended.err, HasSubstr("runs without libheapster.so"));
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
}

INSTANTIATE_TEST_SUITE_P(Every, Unseen,
                         testing::Values(Case{"seven_static", "is statically linked"},
                                         Case{"seven_32", "is built for another architecture"},
                                         Case{"seven_asan", "is built with AddressSanitizer"},
                                         Case{"seven_tsan", "is built with ThreadSanitizer"},
                                         Case{"seven_clang_address", "is built with AddressSanitizer"},
                                         Case{"seven_clang_thread", "is built with ThreadSanitizer"}),
                         [](const auto& test) { return std::string(test.param.program); });

TEST(UnseenBudget, IsNotKeptByWhatNobodyMeasured) {
  const Sandbox sandbox;
  EXPECT_EQ(sandbox.run({heapster_path(), "run", "--max-allocs", "1", program_path("seven_asan")}).exit_code, 7);
  EXPECT_EQ(sandbox.run({heapster_path(), "run", "--max-allocs", "1", "/sbin/ldconfig", "-p"}).exit_code, 1);
}

// The program runs in there, with us loaded; its calls are redirected to valgrind, and nothing must look measured.
TEST(Valgrind, TakesTheCallsAndTheReportSaysSo) {
  const Sandbox sandbox;
  const auto run_with = [&](const std::string& tool) {
    return sandbox.run({heapster_path(), "run", "valgrind", "-q", "--tool=" + tool, program_path("subject"), "return"},
                       {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  };
  const Ended memcheck = run_with("memcheck");
  EXPECT_EQ(memcheck.exit_code, 7) << memcheck.err;
  EXPECT_EQ(memcheck.out, "");
  EXPECT_THAT(memcheck.err, HasSubstr("coverage none"));
  const Ended none = run_with("none");
  EXPECT_EQ(none.exit_code, 7) << none.err;
  EXPECT_THAT(none.err, HasSubstr("coverage full"));
}

TEST(UnseenParent, HasMeasuredChildren) {
  const Sandbox sandbox;
  const Ended ended =
      sandbox.run({heapster_path(), "run", program_path("seven_static"), "run", program_path("subject"), "return"},
                  {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  EXPECT_EQ(ended.exit_code, 7) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("Descendants, 1 in all"));
  EXPECT_THAT(ended.err, HasSubstr("subject"));
}

std::string states(const Sandbox& sandbox, const Words& before = {}) {
  Words words = before;
  words.insert(words.end(), {sandbox.copy_of(heapster_path()), "list"});
  return sandbox.run(words, {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}}).out;
}

// A measured shell becomes `command`; what the list then says.
class Becomes : public testing::TestWithParam<const char*> {};

TEST_P(Becomes, IsShownAsReplaced) {
  const Sandbox sandbox;
  Background program(sandbox, {"/bin/sh", "-c", "true | cat; exec " + std::string(GetParam())}, [&] {
    auto variables = sandbox.measured();
    variables["STATIC"] = program_path("seven_static");
    variables["SUBJECT"] = program_path("subject");
    return variables;
  }());
  ASSERT_EQ(program.line(), "ready");
  EXPECT_THAT(states(sandbox), HasSubstr("replaced"));
  const Ended shown = sandbox.run({heapster_path(), "show", std::to_string(program.pid())},
                                  {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("replaced"));
  program.say("\n");
  EXPECT_EQ(program.wait().signal, 0);
  EXPECT_THAT(states(sandbox), HasSubstr("dead"));
}

INSTANTIATE_TEST_SUITE_P(Unmeasured, Becomes, testing::Values("env -i \"$SUBJECT\" stay", "\"$STATIC\" wait"),
                         [](const auto& test) { return test.index == 0 ? "ByEnvironment" : "Static"; });

// Its mappings are closed to the user who started it.
TEST(BecomesSetUserId, IsShownAsReplacedToItsOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make a set-user-id program";
  const Sandbox sandbox;
  constexpr uid_t kNobody = 65534;
  const std::string program = sandbox.path("privileged");
  fs::copy_file(program_path("seven_static"), program);
  ASSERT_EQ(chmod(program.c_str(), 04755), 0);
  for (const std::string& directory : {sandbox.directory(), sandbox.run_directory()}) {
    ASSERT_EQ(chown(directory.c_str(), kNobody, kNobody), 0);
  }
  const Words nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
  Words start = nobody;
  // LD_PRELOAD is set on the far side of setpriv.
  start.insert(start.end(),
               {"env", "LD_PRELOAD=" + sandbox.copy_of(preload_path()), "/bin/sh", "-c", "exec " + program + " wait"});
  Background background(sandbox, start, {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  struct stat status {};
  ASSERT_EQ(stat(("/proc/" + std::to_string(background.pid())).c_str(), &status), 0);
  if (status.st_uid != 0) GTEST_SKIP() << "set-user-id has no effect here";
  const std::string seen = states(sandbox, nobody);
  EXPECT_THAT(seen, HasSubstr("replaced"));
  EXPECT_THAT(seen, testing::Not(HasSubstr("running")));
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 7);
}

}  // namespace
}  // namespace heapster::test
