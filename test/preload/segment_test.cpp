// SPDX-License-Identifier: MIT
//
// The segment while the program runs, snapshots on demand, names, options, and what happens where
// the segment cannot be had.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "reader/dump.h"
#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;

const std::string kSubject = program_path("subject");

// The live segment of a process.
std::string segment_of(const Sandbox& sandbox, pid_t pid) {
  const auto path = reader::resolve(std::to_string(pid), sandbox.run_directory());
  return path ? *path : "";
}

TEST(Segment, IsReadFromOutsideWhileTheProgramRuns) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "stay"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  const auto snapshot = reader::load(segment_of(sandbox, background.pid()));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_EQ(snapshot->process.life, reader::Life::kRunning);
  EXPECT_EQ(snapshot->process.executable, fs::canonical(kSubject));
  EXPECT_EQ(snapshot->process.command, (std::vector<std::string>{kSubject, "stay"}));
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 100), 1000);
  EXPECT_EQ(coverage(*snapshot).verdict, "full");
}

TEST(Segment, IsPrivateToItsOwner) {
  Sandbox sandbox;
  fs::remove(sandbox.run_directory());
  Background background(sandbox, {kSubject, "stay"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  struct stat status {};
  ASSERT_EQ(stat(sandbox.run_directory().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(stat(segment_of(sandbox, background.pid()).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0400u);
  EXPECT_LE(status.st_blocks * 512, 256 * 1024);
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Segment, LeavesNoDescriptorAndNoThreadBehind) {
  Sandbox sandbox;
  Background bare(sandbox, {kSubject, "stay"}, {});
  Background measured(sandbox, {kSubject, "stay"}, sandbox.measured());
  ASSERT_EQ(bare.line(), "ready");
  ASSERT_EQ(measured.line(), "ready");
  const auto proc = [](const Background& program) { return "/proc/" + std::to_string(program.pid()); };
  EXPECT_EQ(entries_of(proc(measured) + "/fd"), entries_of(proc(bare) + "/fd"));
  EXPECT_EQ(entries_of(proc(measured) + "/task").size(), 1u);
}

TEST(Segment, TimelineCoversTheWholeLifeInAtMost512Points) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "full-speed"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  const auto points = [&]() -> std::vector<std::vector<int64_t>> {
    const auto snapshot = reader::load(segment_of(sandbox, background.pid()));
    return snapshot ? snapshot->timeline.points : std::vector<std::vector<int64_t>>();
  };
  // The interval has doubled once at least when the points become fewer.
  size_t most = 0;
  ASSERT_TRUE(eventually([&] {
    const size_t now = points().size();
    EXPECT_LE(now, 512u + 1);  // and what lives now
    const bool thinned = now + 100 < most;
    most = std::max(most, now);
    return thinned;
  }));
  background.say("stop\n");
  EXPECT_EQ(background.wait().exit_code, 0);
  const auto timeline = sandbox.snapshot().timeline.points;
  ASSERT_GT(timeline.size(), 200u);
  EXPECT_LT(timeline.front()[0], timeline.back()[0] / 50) << "the beginning is still there";
  for (size_t i = 1; i < timeline.size(); ++i) EXPECT_GT(timeline[i][0], timeline[i - 1][0]);
}

TEST(Signal, WritesNumberedSnapshotsWhileEightThreadsAllocate) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "full-speed"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  const std::string stem = sandbox.path("heapster.subject." + std::to_string(background.pid()));
  for (int i = 1; i <= 20; ++i) {
    const std::string path = stem + "." + std::to_string(i) + ".heap";
    background.send(SIGUSR1);
    ASSERT_TRUE(eventually([&] { return fs::exists(path); })) << path;
    const auto snapshot = reader::load(path);
    ASSERT_TRUE(snapshot) << snapshot.error().text;
    EXPECT_EQ(snapshot->process.life, reader::Life::kRunning);
    EXPECT_GE(figure(*snapshot, "use_curr"), 0);
    EXPECT_LT(figure(*snapshot, "use_curr"), 1 << 20);
  }
  background.say("stop\n");
  EXPECT_EQ(background.wait().exit_code, 0);
  EXPECT_TRUE(fs::exists(stem + ".heap"));
  for (const auto& entry : fs::directory_iterator(sandbox.directory())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".heapster.")) << "half a file: " << entry.path();
  }
}

TEST(Signal, CanBeAnotherOneOrNone) {
  Sandbox sandbox;
  auto variables = sandbox.measured();
  variables["HEAPSTER_SIGNAL"] = "RTMIN+3";
  Background background(sandbox, {kSubject, "stay"}, variables);
  ASSERT_EQ(background.line(), "ready");
  background.send(34 + 3);
  EXPECT_TRUE(eventually([&] { return sandbox.snapshots().size() == 1; }));
  background.send(SIGUSR1);
  EXPECT_EQ(background.wait().signal, SIGUSR1);
  variables["HEAPSTER_SIGNAL"] = "none";
  Background plain(sandbox, {kSubject, "stay"}, variables);
  ASSERT_EQ(plain.line(), "ready");
  plain.send(SIGUSR1);
  EXPECT_EQ(plain.wait().signal, SIGUSR1);
}

TEST(Signal, LeavesADispositionThatIsNotTheDefaultAlone) {
  Sandbox sandbox;
  const auto ended = sandbox.run_measured({"/bin/sh", "-c", "trap '' USR1; exec " + kSubject + " return"});
  EXPECT_EQ(ended.exit_code, 7);
  bool noted = false;
  for (const auto& found : sandbox.snapshots()) noted = noted || has_note(found.snapshot, "signal_taken");
  EXPECT_TRUE(noted);
}

TEST(Dump, CopiesALiveSegmentWithoutTouchingTheProcess) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "stay"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  const std::string segment = segment_of(sandbox, background.pid());
  const std::string before = read_file(segment);
  ASSERT_TRUE(reader::dump(segment, sandbox.path("dump.heap")));
  EXPECT_TRUE(read_file(segment) == before);
  const auto live = reader::load(segment);
  const auto dumped = reader::load(sandbox.path("dump.heap"));
  ASSERT_TRUE(live && dumped);
  EXPECT_EQ(figure(*dumped, "alloc_count"), figure(*live, "alloc_count"));
  EXPECT_EQ(figure(*dumped, "use_curr"), figure(*live, "use_curr"));
}

TEST(Names, FollowThePattern) {
  Sandbox sandbox;
  sandbox.run_measured({kSubject, "nothing"}, {{"HEAPSTER_OUT", "a-%e-%n-%%-%q.heap"}});
  EXPECT_TRUE(fs::exists(sandbox.path("a-subject-0-%-%q.heap")));
  sandbox.run_measured({kSubject, "nothing"}, {{"HEAPSTER_OUT", sandbox.path("absolute")}});
  EXPECT_TRUE(fs::exists(sandbox.path("absolute")));
}

TEST(Names, NoneMeansNoSnapshot) {
  Sandbox sandbox;
  sandbox.run_measured({kSubject, "nothing"}, {{"HEAPSTER_OUT", "none"}});
  EXPECT_TRUE(sandbox.snapshots().empty());
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

TEST(Options, NonsenseIsKeptAndHarmsNothing) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_SIGNAL", "NONSENSE"},
                                                                  {"HEAPSTER_FOLLOW", "maybe"},
                                                                  {"HEAPSTER_ROOT", "x.y"},
                                                                  {"HEAPSTER_LABEL", std::string(5000, 'l')},
                                                                  {"HEAPSTER_STAKCS", "512K"}});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.err, "");
  const auto snapshot = sandbox.snapshot();
  EXPECT_TRUE(has_note(snapshot, "option_refused"));
  EXPECT_GE(snapshot.process.refused.size(), 4u);
}

TEST(Options, LabelAndVerboseDoWhatTheySay) {
  Sandbox sandbox;
  const Ended ended =
      sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_LABEL", "blue"}, {"HEAPSTER_VERBOSE", "1"}});
  EXPECT_EQ(sandbox.snapshot().process.label, "blue");
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 2) << ended.err;
}

// The line goes to a terminal, and the name comes from whoever started the program.
TEST(Options, WhatVerbosePrintsSteersNoTerminal) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured(
      {kSubject, "return"}, {{"HEAPSTER_OUT", "a\x1b[31m\xe2\x80\xae\xff.heap"}, {"HEAPSTER_VERBOSE", "1"}});
  EXPECT_THAT(ended.err, testing::HasSubstr(".heap"));
  for (const char* bytes : {"\x1b", "\xe2\x80\xae", "\xff"})
    EXPECT_THAT(ended.err, testing::Not(testing::HasSubstr(bytes)));
}

// A set-user-id program is none of ours to count, and nothing of it is written.
TEST(Secure, ProgramsAreLeftAlone) {
  Sandbox sandbox;
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a program of another user's";
  const std::string program = sandbox.copy_of(kSubject);
  const std::string script =
      "mkdir upper work && mount -t overlay -o lowerdir=/etc,upperdir=upper,workdir=work none /etc || exit 77; echo " +
      preload_path() + " >/etc/ld.so.preload; chmod 755 .; exec setpriv --reuid 65534 --clear-groups " + program +
      " return";
  for (const bool secure : {false, true}) {
    const uid_t user = secure ? 0 : 65534;
    ASSERT_EQ(chown(program.c_str(), user, user), 0);
    ASSERT_EQ(chown(sandbox.run_directory().c_str(), user, user), 0);
    ASSERT_EQ(chmod(program.c_str(), 04755), 0);
    std::filesystem::remove_all(sandbox.path("upper"));
    std::filesystem::remove_all(sandbox.path("work"));
    const Ended ended = sandbox.run({"unshare", "-m", "/bin/sh", "-c", script},
                                    {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}, {"HEAPSTER_VERBOSE", "1"}});
    if (ended.exit_code == 77) GTEST_SKIP() << "no overlays here";
    EXPECT_EQ(ended.exit_code, 7) << ended.err;
    EXPECT_EQ(ended.err.find("heapster.subject.") == std::string::npos, secure) << ended.err;
  }
}

// Where the file cannot be had, the program runs as ever and the snapshot says why.
struct Lack {
  const char* note;
  const char* run_directory;
  const char* limit;  // a shell line before the program
};

class Lacking : public testing::TestWithParam<Lack> {};

TEST_P(Lacking, CountsInPrivateMemory) {
  const Lack lack = GetParam();
  Sandbox sandbox;
  Variables variables;
  if (lack.run_directory != nullptr) variables["HEAPSTER_RUN_DIR"] = lack.run_directory;
  variables["HEAPSTER_SIGNAL"] = "none";
  variables.merge(sandbox.measured());
  // The limit is set before the preload comes in, and the snapshot's own size is within it.
  std::string preload = variables["LD_PRELOAD"];
  variables.erase("LD_PRELOAD");
  const std::string script =
      std::string(lack.limit) + " exec env LD_PRELOAD=" + preload + " HEAPSTER_OUT=%e.heap " + kSubject + " return";
  const Ended ended = sandbox.run({"/bin/sh", "-c", script}, variables);
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.err, "");
  const auto snapshot = reader::load(sandbox.path("subject.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_TRUE(has_note(*snapshot, lack.note));
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 100), 1000);
}

// A tmpfs of 16 KiB, in a mount namespace of its own: touching its pages would be a SIGBUS.
TEST(Lack, OfSpaceOnTheTmpfsHarmsNothing) {
  Sandbox sandbox;
  const std::string program = "LD_PRELOAD=" + preload_path() + " HEAPSTER_OUT=full.heap " + kSubject + " crowd 40";
  const Ended ended =
      sandbox.run({"unshare", geteuid() == 0 ? "-m" : "-rm", "/bin/sh", "-c",
                   "mount -t tmpfs -o size=16k,mode=0700 none " + sandbox.run_directory() + " && " + program},
                  {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const auto snapshot = reader::load(sandbox.path("full.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_TRUE(has_note(*snapshot, "no_space"));
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 24), 40 * 100);
}

TEST(Lack, OfARunDirectoryThatTakesFiles) {
  Sandbox sandbox;
  const std::string program = "LD_PRELOAD=" + preload_path() + " HEAPSTER_OUT=refused.heap " + kSubject + " return";
  const Ended ended = sandbox.run({"unshare", geteuid() == 0 ? "-m" : "-rm", "/bin/sh", "-c",
                                   "mount -t tmpfs -o ro,mode=0700 none " + sandbox.run_directory() + " && " + program},
                                  {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(ended.exit_code, 7) << ended.err;
  const auto snapshot = reader::load(sandbox.path("refused.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_TRUE(has_note(*snapshot, "segment_refused"));
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 100), 1000);
}

// A snapshot takes two descriptors, its directory's and its own.
TEST(Lack, OfDescriptorsHarmsNothing) {
  Sandbox sandbox;
  const std::string program = "LD_PRELOAD=" + preload_path() + " HEAPSTER_OUT=few.heap " + kSubject + " return";
  for (const auto& [limit, written] : {std::pair{4, false}, std::pair{5, true}}) {
    const Ended ended = sandbox.run({"/bin/sh", "-c", "ulimit -n " + std::to_string(limit) + "; " + program},
                                    {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
    EXPECT_EQ(ended.exit_code, 7) << ended.err;
    EXPECT_EQ(std::filesystem::exists(sandbox.path("few.heap")), written) << limit;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Lacking,
                         testing::Values(Lack{"no_run_directory", "/nowhere/at/all", ""},
                                         Lack{"no_run_directory", "/proc/self", ""},
                                         Lack{"not_on_tmpfs", "/var/tmp/heapster-test-disk", ""},
                                         Lack{"file_size_limit", nullptr, "ulimit -f 2000;"}),
                         [](const auto& test) { return std::string(test.param.note) + std::to_string(test.index); });

}  // namespace
}  // namespace heapster::test
