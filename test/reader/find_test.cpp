// SPDX-License-Identifier: MIT
//
// The run directory: who lives, who is dead, who was replaced, and which file a PID means.

#include "reader/find.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "living.h"
#include "reader/load.h"
#include "reader/proc.h"
#include "reader/strangers.h"

namespace heapster::reader {
namespace {

using test::Mapping;
using test::RunDirectory;
using test::Segment;

Life only_life(const RunDirectory& run) {
  const auto listing = list(run.path());
  EXPECT_EQ(listing->found.size(), 1u);
  return listing->found.at(0).snapshot.process.life;
}

TEST(SegmentName, IsThreeNumbers) {
  const auto name = parse_segment_name("4026531836-12-345");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->pid_namespace, 4026531836u);
  EXPECT_EQ(name->pid, 12u);
  EXPECT_EQ(name->start_ticks, 345u);
  for (const char* other : {"", "1-2", "1-2-", "-1-2-3", "1-2-3-4", "1-2-3x", ".1-2-3", "1-99999999999-3", "x.heap"})
    EXPECT_FALSE(parse_segment_name(other)) << other;
}

TEST(RunDirectoryName, ComesFromTheEnvironment) {
  unsetenv("HEAPSTER_RUN_DIR");
  EXPECT_EQ(run_directory(), "/dev/shm/heapster-" + std::to_string(getuid()));
  setenv("HEAPSTER_RUN_DIR", "", 1);
  EXPECT_EQ(run_directory(), "/dev/shm/heapster-" + std::to_string(getuid()));
  setenv("HEAPSTER_RUN_DIR", "/tmp/elsewhere", 1);
  EXPECT_EQ(run_directory(), "/tmp/elsewhere");
  unsetenv("HEAPSTER_RUN_DIR");
}

TEST(List, AProcessThatMapsItsFileIsAlive) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  const Mapping mapping(run.write(test::segment_name(segment), segment.whole()));
  const auto listing = list(run.path());
  ASSERT_EQ(listing->found.size(), 1u);
  const Process& process = listing->found[0].snapshot.process;
  EXPECT_EQ(process.life, Life::kRunning);
  EXPECT_GE(process.duration, 3.0);
}

TEST(List, ALiveThreadHasItsPresentName) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  const std::string path = run.write(test::segment_name(segment), segment.whole());
  const Mapping mapping(path);
  prctl(PR_SET_NAME, ") R (odd");  // parentheses in the name must not confuse /proc/PID/stat either
  EXPECT_EQ(load(path)->threads.at(0).name, ") R (odd");
}

TEST(List, AProcessThatLetGoOfItsFileWasReplaced) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  run.write(test::segment_name(segment), segment.whole());
  EXPECT_EQ(only_life(run), Life::kReplaced);
}

TEST(List, AnotherStartTimeMeansAnotherProcess) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  ++segment.header().identity.start_ticks;
  run.write(test::segment_name(segment), segment.whole());
  EXPECT_EQ(only_life(run), Life::kDead);
}

// In another time namespace the kernel tells another start.
TEST(List, WhoeverMapsTheFileIsTheProcess) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  segment.header().identity.start_ticks += 1000;
  const Mapping mapping(run.write(test::segment_name(segment), segment.whole()));
  EXPECT_EQ(only_life(run), Life::kRunning);
}

TEST(List, AnotherBootMeansAnotherProcess) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  segment.add_text(Text::k_boot_id, "before the reboot");
  const Mapping mapping(run.write(test::segment_name(segment), segment.whole()));
  EXPECT_EQ(only_life(run), Life::kDead);
}

TEST(List, AnotherNamespaceMeansAnotherProcess) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  ++segment.header().identity.pid_namespace;
  const Mapping mapping(run.write(test::segment_name(segment), segment.whole()));
  EXPECT_EQ(only_life(run), Life::kDead);
}

TEST(List, TheStateInTheHeaderGoesFirst) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  segment.header().state = static_cast<uint32_t>(State::kExited);
  const Mapping mapping(run.write(test::segment_name(segment), segment.whole()));
  EXPECT_EQ(only_life(run), Life::kExited);
}

TEST(List, LiveOnesFirstThenTheLatest) {
  const RunDirectory run;
  Segment alive = test::own_segment();
  const Mapping mapping(run.write(test::segment_name(alive), alive.whole()));
  for (const uint32_t pid : {11u, 22u}) {
    Segment dead = test::own_segment();
    dead.header().identity.pid = pid;
    dead.header().identity.started_epoch += pid * 1'000'000'000ull;
    run.write(test::segment_name(dead), dead.whole());
  }
  const auto listing = list(run.path());
  ASSERT_EQ(listing->found.size(), 3u);
  EXPECT_EQ(listing->found[0].snapshot.process.identity.pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(listing->found[1].snapshot.process.identity.pid, 22u);
  EXPECT_EQ(listing->found[2].snapshot.process.identity.pid, 11u);
}

// Another user's, and of a run directory of its own: whoever can be shown can be listed.
TEST(List, WhatALiveProcessHasMappedElsewhereIsListed) {
  const RunDirectory run, elsewhere;
  Segment segment = test::own_segment();
  const std::string path = elsewhere.write(test::segment_name(segment), segment.whole());
  const Mapping mapping(path);
  EXPECT_TRUE(list(run.path())->found.empty());
  const auto listing = list_everywhere(run.path(), Depth::kFigures);
  const auto there = [&](const Found& found) { return found.path == path; };
  EXPECT_EQ(std::count_if(listing->found.begin(), listing->found.end(), there), 1);
  const auto at_home = list_everywhere(elsewhere.path(), Depth::kFigures);
  EXPECT_EQ(std::count_if(at_home->found.begin(), at_home->found.end(), there), 1) << "once";
}

TEST(List, FiguresAreTheSameWithoutTheRest) {
  const RunDirectory run;
  Segment segment = test::busy_segment();
  const std::string path = run.write(test::segment_name(segment), segment.whole());
  const auto all = list(run.path(), Depth::kAll), figures = list(run.path(), Depth::kFigures);
  ASSERT_EQ(figures->found.size(), 1u);
  const Snapshot &a = all->found[0].snapshot, &b = figures->found[0].snapshot;
  EXPECT_EQ(a.stats.alloc.count(), b.stats.alloc.count());
  EXPECT_EQ(a.stats.live().bytes(), b.stats.live().bytes());
  EXPECT_EQ(a.stats.use.curr, b.stats.use.curr);
  EXPECT_EQ(a.stats.use.max, b.stats.use.max);
  EXPECT_EQ(a.process.executable, b.process.executable);
  EXPECT_FALSE(a.timeline.points.empty());
  EXPECT_TRUE(b.timeline.points.empty());
}

TEST(List, OtherFilesAreNoSegments) {
  const RunDirectory run;
  run.write(".1-2-3", "being made");
  run.write("snapshot.heap", Segment().bytes());
  run.write("1-2-3", "junk");
  const auto listing = list(run.path());
  EXPECT_TRUE(listing->found.empty());
  ASSERT_EQ(listing->refused.size(), 1u);
  EXPECT_EQ(listing->refused[0], run.path() + "/1-2-3: not a heapster file");
  EXPECT_EQ(list_snapshots(run.path())->found.size(), 1u);
}

TEST(List, AMissingDirectoryIsEmptyAndAFileIsNone) {
  const RunDirectory run;
  EXPECT_TRUE(list(run.path() + "/absent")->found.empty());
  const std::string file = run.write("file", "");
  EXPECT_EQ(list(file).error().text, file + ": a link or a file lies on the way; not used as a run directory");
}

TEST(Resolve, APathIsAPathAndDigitsAreAPid) {
  const RunDirectory run;
  EXPECT_EQ(*resolve("./123", run.path()), "./123");
  EXPECT_EQ(*resolve("some.heap", run.path()), "some.heap");
  EXPECT_FALSE(resolve("123", run.path()));
  EXPECT_EQ(resolve("99999999999", run.path()).error().text, "99999999999: no such process number");
}

TEST(Resolve, TellsALiveProcessThatIsNotMeasuredFromNone) {
  const RunDirectory run;
  const std::string own = std::to_string(getpid());
  EXPECT_EQ(resolve(own, run.path()).error().text,
            "process " + own + " is not measured (no segment in " + run.path() + ")");
  EXPECT_NE(resolve("4194305", run.path()).error().text.find("no process 4194305"), std::string::npos);
}

TEST(Resolve, TheLiveSegmentWinsOverALaterDeadOne) {
  const RunDirectory run;
  Segment alive = test::own_segment();
  const std::string live_path = run.write(test::segment_name(alive), alive.whole());
  const Mapping mapping(live_path);
  Segment dead = test::own_segment();
  ++dead.header().identity.start_ticks;
  dead.header().identity.started_epoch += 1'000'000'000'000;
  run.write(test::segment_name(dead), dead.whole());
  EXPECT_EQ(*resolve(std::to_string(getpid()), run.path()), live_path);
}

TEST(Resolve, TheLastDeadOneIsFoundAmongSegmentsAndSnapshots) {
  const RunDirectory run;
  Segment old = test::own_segment();
  old.header().identity.pid = 4194377;
  run.write(test::segment_name(old), old.whole());
  Segment later = test::own_segment();
  later.header().identity.pid = 4194377;
  later.header().identity.started_epoch += 1'000'000'000;
  const std::string snapshot = run.write("heapster.make.4194377.heap", later.bytes());
  Segment other = test::own_segment();
  other.header().identity.pid = 78;
  other.header().identity.started_epoch += 9'000'000'000;
  run.write("heapster.cc.78.heap", other.bytes());
  EXPECT_EQ(*resolve("4194377", run.path()), snapshot);
}

TEST(Resolve, AnEarlierProcessOfTheNumberIsNotTheLiveOne) {
  const RunDirectory run;
  Segment earlier = test::own_segment();
  --earlier.header().identity.start_ticks;
  const std::string path = run.write(test::segment_name(earlier), earlier.whole());
  const std::string own = std::to_string(getpid());
  EXPECT_EQ(resolve(own, run.path()).error().text,
            "process " + own + " is not measured; an earlier one of that number left " + path);
}

TEST(Resolve, AnEarlierBootIsAnotherProcess) {
  const RunDirectory run;
  Segment earlier = test::own_segment();
  earlier.add_text(Text::k_boot_id, "before the reboot");
  const Mapping mapping(run.write(test::segment_name(earlier), earlier.whole()));
  EXPECT_FALSE(resolve(std::to_string(getpid()), run.path()));
}

TEST(Resolve, AnotherNamespacesProcessIsNotTheOneOfTheSameNumber) {
  const RunDirectory run;
  Segment other = test::own_segment();
  ++other.header().identity.pid_namespace;
  const Mapping mapping(run.write(test::segment_name(other), other.whole()));
  EXPECT_FALSE(resolve(std::to_string(getpid()), run.path()));
}

TEST(Resolve, AReplacedImageOfALiveProcessAnswers) {
  const RunDirectory run;
  Segment replaced = test::own_segment();
  const std::string path = run.write(test::segment_name(replaced), replaced.whole());
  EXPECT_EQ(*resolve(std::to_string(getpid()), run.path()), path);
}

TEST(Resolve, ALiveSegmentIsFoundWhereverItIsMapped) {
  const RunDirectory run, elsewhere;
  Segment alive = test::own_segment();
  const std::string path = elsewhere.write(test::segment_name(alive), alive.whole());
  const Mapping mapping(path);
  EXPECT_EQ(*resolve(std::to_string(getpid()), run.path()), path);
}

// What the kernel looks up itself and what is read from the text of /proc/PID/maps; and after the first thread's end.
TEST(Proc, AProcessIsAliveWhileAThreadIs) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const RunDirectory run;
  Segment segment = test::own_segment();
  const std::string path = run.write(test::segment_name(segment), segment.whole());
  const pid_t child = fork();
  if (child == 0) {
    static const Mapping mapping(path);
    std::thread([ready = pipe_ends[1]] {
      while (pulse_of(static_cast<uint32_t>(getpid()))->thread == static_cast<uint32_t>(getpid())) sched_yield();
      [[maybe_unused]] const ssize_t told = write(ready, "x", 1);
      for (;;) pause();
    }).detach();
    syscall(SYS_exit, 0);  // the first thread alone
  }
  char byte = 0;
  ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);
  const auto number = static_cast<uint32_t>(child);
  const auto pulse = pulse_of(number);
  ASSERT_TRUE(pulse);
  EXPECT_NE(pulse->thread, number);
  EXPECT_EQ(start_ticks_of(number), pulse->start_ticks);
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  Identity identity = segment.header().identity;
  identity.pid = number;
  Strangers strangers;
  for (const uint64_t ticks : {pulse->start_ticks, pulse->start_ticks + 500}) {
    identity.start_ticks = ticks;  // of another time namespace, it may differ
    const auto standing = strangers.standing_of(identity, status.st_ino);
    ASSERT_TRUE(standing) << ticks;
    EXPECT_EQ(standing->pid, number);
    EXPECT_EQ(standing->hold, Hold::kMapped);
  }
  identity.start_ticks = pulse->start_ticks;
  EXPECT_EQ(strangers.standing_of(identity, status.st_ino + 1)->hold, Hold::kReleased);
  identity.start_ticks += 500;
  EXPECT_FALSE(strangers.standing_of(identity, status.st_ino + 1)) << "another process of that number";
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(pulse_of(number));
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(Proc, SharedFilesAreThoseOfTheText) {
  const RunDirectory run;
  Segment segment = test::own_segment();
  const std::string path = run.write(test::segment_name(segment), segment.whole());
  const Mapping mapping(path);
  const auto files = shared_files_of(static_cast<uint32_t>(getpid()));
  ASSERT_TRUE(files);
  const auto same = [&](const SharedFile& file) { return file.path == path && file.offset == 0 && file.inode != 0; };
  EXPECT_EQ(std::count_if(files->begin(), files->end(), same), 1);
  std::ostringstream text;
  text << std::ifstream("/proc/self/maps").rdbuf();
  const std::vector<SharedFile> parsed = parse_shared_files(text.str());
  ASSERT_EQ(parsed.size(), files->size());
  for (size_t i = 0; i < parsed.size(); ++i) {
    EXPECT_EQ(parsed[i].path, (*files)[i].path);
    EXPECT_EQ(parsed[i].inode, (*files)[i].inode);
    EXPECT_EQ(parsed[i].offset, (*files)[i].offset);
    EXPECT_EQ(parsed[i].major, (*files)[i].major);
    EXPECT_EQ(parsed[i].minor, (*files)[i].minor);
  }
  EXPECT_FALSE(shared_files_of(4194305));
}

TEST(Proc, OurOwnViewIsOurs) {
  const auto view = view_of("self");
  ASSERT_TRUE(view);
  EXPECT_TRUE(in_our_namespace(view->pid_namespace));
  EXPECT_EQ(view, view_of(std::to_string(getpid())));
  EXPECT_EQ(inner_pid_of(static_cast<uint32_t>(getpid())), static_cast<uint32_t>(getpid()));
}

}  // namespace
}  // namespace heapster::reader
