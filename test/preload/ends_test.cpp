// SPDX-License-Identifier: MIT
//
// However a program ends, its numbers are there: in a snapshot, or for kills in the segment that
// it leaves behind. And it ends as it would have ended without us.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");
constexpr uint64_t kSize = 100;  // of the thousand blocks of every scenario

int64_t idle_in_bucket() {
  Sandbox sandbox;
  sandbox.run_measured({kSubject, "nothing"});
  return allocated_in_bucket_of(sandbox.snapshot(), kSize);
}

struct Way {
  const char* scenario;
  int signal;  // 0: it exits with 7
};

class Ends : public testing::TestWithParam<Way> {};

TEST_P(Ends, LeavesExactNumbers) {
  const Way way = GetParam();
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, way.scenario});
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(ended.err, "");
  const auto left = reader::list(sandbox.run_directory());
  ASSERT_TRUE(left);
  if (way.signal == 0) {
    EXPECT_EQ(ended.exit_code, 7);
    EXPECT_TRUE(left->found.empty()) << "a segment stayed behind";
    const auto snapshot = sandbox.snapshot();
    EXPECT_EQ(snapshot.process.life, reader::Life::kExited);
    EXPECT_GE(allocated_in_bucket_of(snapshot, kSize), 1000);
    EXPECT_GT(snapshot.process.ending.max_rss_bytes, 0u);
  } else {
    EXPECT_EQ(ended.signal, way.signal);
    EXPECT_TRUE(sandbox.snapshots().empty());
    ASSERT_EQ(left->found.size(), 1u);
    const auto& snapshot = left->found[0].snapshot;
    EXPECT_EQ(snapshot.process.life, reader::Life::kDead);
    EXPECT_EQ(allocated_in_bucket_of(snapshot, kSize), 1000 + idle_in_bucket());
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Ends,
                         testing::Values(Way{"return", 0}, Way{"exit", 0}, Way{"_exit", 0}, Way{"_Exit", 0},
                                         Way{"quick_exit", 0}, Way{"exit-in-thread", 0}, Way{"exit-in-handler", 0},
                                         Way{"last-thread", 0}, Way{"abort", SIGABRT}, Way{"kill", SIGKILL},
                                         Way{"terminate", SIGTERM}),
                         [](const auto& test) {
                           std::string name = test.param.scenario;
                           for (char& letter : name) letter = letter == '-' ? '0' : letter == '_' ? 'U' : letter;
                           return name;
                         });

TEST(End, OfTheMainThreadAloneIsTheProgramsEnd) {
  Sandbox sandbox;
  EXPECT_EQ(sandbox.run_measured({kSubject, "pthread-exit"}).exit_code, 0);
  EXPECT_EQ(sandbox.snapshot().process.life, reader::Life::kExited);
  EXPECT_GE(allocated_in_bucket_of(sandbox.snapshot(), kSize), 1000);
}

struct Race {
  const char* name;
  const char* scenario;
  const char* mean;  // HEAPSTER_STACKS
  int times;
};

class Races : public testing::TestWithParam<Race> {};

// Each run is a new chance for the end to come at a bad moment.
TEST_P(Races, NeverLoseTheLastSnapshot) {
  const auto [name, scenario, mean, times] = GetParam();
  for (int i = 0; i < times; ++i) {
    Sandbox sandbox;
    const Ended ended =
        sandbox.run_measured({kSubject, scenario}, {{"HEAPSTER_OUT", "last.heap"}, {"HEAPSTER_STACKS", mean}});
    ASSERT_EQ(ended.exit_code, 7) << "signal " << ended.signal << ", " << ended.err;
    const auto last = reader::load(sandbox.path("last.heap"));
    ASSERT_TRUE(last) << last.error().text;
    EXPECT_EQ(last->process.life, reader::Life::kExited);
    EXPECT_GE(allocated_in_bucket_of(*last, kSize), 1000);
    EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
    for (const auto& file : std::filesystem::directory_iterator(sandbox.directory())) {
      EXPECT_FALSE(file.path().filename().string().starts_with(".heapster.")) << "a temporary file stayed behind";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Races,
                         testing::Values(Race{"Dumps", "exit-during-dumps", "", 40},
                                         Race{"Exits", "exits-at-once", "", 40},
                                         Race{"EightExits", "eight-exits", "1K", 20}),
                         [](const auto& test) { return std::string(test.param.name); });

// A lock that a child inherited would never be given back.
TEST(Fork, InTheMiddleOfADumpLeavesTheChildItsOwn) {
  Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({kSubject, "forks-during-dumps"}, {{"HEAPSTER_OUT", "it.heap"}}).exit_code, 0);
  int dumps = 0;
  for (const auto& [path, snapshot] : sandbox.snapshots()) {
    if (snapshot.process.identity.root_pid == 0 || snapshot.process.life == reader::Life::kExited) continue;
    EXPECT_EQ(allocated_in_bucket_of(snapshot, 5000), 1) << path;
    ++dumps;
  }
  EXPECT_EQ(dumps, 100);
}

TEST(End, WhatDestructorsFreeIsNotLeaked) {
  Sandbox idle, sandbox;
  idle.run_measured({kSubject, "nothing"});
  sandbox.run_measured({kSubject, "destructors"});
  EXPECT_EQ(figure(sandbox.snapshot(), "live_count"), figure(idle.snapshot(), "live_count"));
}

// A sandboxed program gets no system call from us; its segment stays and holds the numbers.
TEST(End, UnderSeccompNothingIsAdded) {
  for (const char* way : {"prctl", "seccomp", "prctl-by-syscall"}) {
    for (const char* mean : {"", "1", "16K"}) {
      Sandbox sandbox;
      const Ended ended = sandbox.run_measured({kSubject, "seccomp", way}, {{"HEAPSTER_STACKS", mean}});
      EXPECT_EQ(ended.exit_code, 7) << way << ", stacks: " << mean << ", signal " << ended.signal;
      const auto left = reader::list(sandbox.run_directory());
      ASSERT_TRUE(left);
      ASSERT_EQ(left->found.size(), 1u);
      EXPECT_GE(allocated_in_bucket_of(left->found[0].snapshot, kSize), 1000);
    }
  }
}

TEST(End, OnlyARegularFileIsReplaced) {
  Sandbox sandbox;
  ASSERT_EQ(mkfifo(sandbox.path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_OUT", "pipe"}}).exit_code, 7);
  EXPECT_TRUE(std::filesystem::is_fifo(sandbox.path("pipe")));
  EXPECT_EQ(reader::list(sandbox.run_directory())->found.size(), 1u) << "the numbers are kept";
  EXPECT_EQ(sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_OUT", "/dev/null"}}).exit_code, 7);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST(End, ALongNameDoesNotLoseAnEarlierImage) {
  Sandbox sandbox;
  const std::string out = sandbox.path(std::string(200, 'd')) + "/";
  std::filesystem::create_directory(out);
  const std::string name = std::string(240, 'n') + "%n.heap";
  sandbox.run_measured({"/bin/sh", "-c", "exec " + kSubject + " return " + std::string(3000, 'x')},
                       {{"HEAPSTER_OUT", out + name}});
  const auto kept = reader::list_snapshots(sandbox.run_directory());
  size_t files = kept ? kept->found.size() : 0;
  for (const auto& entry : std::filesystem::directory_iterator(out)) files += entry.is_regular_file();
  EXPECT_EQ(files, 2u);
}

TEST(End, AnExecSavesTheEarlierImage) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "exec", "/bin/sh", "-c", "exec " + kSubject + " return"});
  EXPECT_EQ(ended.exit_code, 7);
  const auto found = sandbox.snapshots();
  ASSERT_EQ(found.size(), 3u) << "subject, sh, subject again";
  int replaced = 0;
  for (const auto& image : found) {
    replaced += image.snapshot.process.life == reader::Life::kReplaced;
    EXPECT_EQ(image.snapshot.process.identity.pid, found[0].snapshot.process.identity.pid);
  }
  EXPECT_EQ(replaced, 2);
  EXPECT_TRUE(reader::list(sandbox.run_directory())->found.empty());
}

TEST(End, AnExecIntoSomethingUnmeasuredIsShownAsReplaced) {
  Sandbox sandbox;
  Background background(sandbox, {kSubject, "exec", "/usr/bin/env", "-i", "/bin/cat"}, sandbox.measured());
  EXPECT_TRUE(eventually([&] {
    const auto listing = reader::list(sandbox.run_directory());
    return listing && listing->found.size() == 1 && listing->found[0].snapshot.process.life == reader::Life::kReplaced;
  }));
}

}  // namespace
}  // namespace heapster::test
