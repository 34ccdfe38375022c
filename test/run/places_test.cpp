// SPDX-License-Identifier: MIT
//
// Who may write where: what a file says of itself is no reason to write anywhere, a run directory that is not ours
// alone is refused by all, and a directory stays the one that it was, whatever its path leads to later.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kSubject = program_path("subject");
const std::string kForger = program_path("forger");
constexpr uid_t kNobody = 65534;

Ended heapster_run(const Sandbox& sandbox, Words words, Variables variables = {}) {
  words.insert(words.begin(), {heapster_path(), "run"});
  variables.emplace("HEAPSTER_RUN_DIR", sandbox.run_directory());
  return sandbox.run(words, variables);
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename();
    if (!fs::is_directory(entry.path()) && name != ".in" && name != ".out" && name != ".err") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The segment names a file, and its process is dead: heapster-run has its own idea of where to write.
class Forged : public testing::Test {
 protected:
  Forged() { std::ofstream(victim_) << "precious"; }
  ~Forged() override {
    EXPECT_EQ(read_file(victim_), "precious");
    EXPECT_EQ(names_in(sandbox_.path("target")), std::vector<std::string>{"victim"});
  }
  Sandbox sandbox_;
  const std::string target_ = make(sandbox_.path("target"));
  const std::string victim_ = target_ + "/victim";

 private:
  static std::string make(const std::string& path) {
    fs::create_directory(path);
    return path;
  }
};

TEST_F(Forged, NameOfTheProgramItself) {
  const Ended ended = heapster_run(sandbox_, {"-q", kForger, "kill", victim_});
  EXPECT_EQ(ended.exit_code, 128 + SIGKILL) << ended.err;
  const auto written = names_in(sandbox_.directory());
  ASSERT_EQ(written.size(), 1u);
  EXPECT_THAT(written[0], testing::MatchesRegex("heapster\\.forger\\.[0-9]+\\.heap"));
  EXPECT_TRUE(names_in(sandbox_.run_directory()).empty());
}

TEST_F(Forged, NameThatIsNotThereYet) {
  heapster_run(sandbox_, {"-q", "-o", "out.heap", kForger, "kill", target_ + "/new"});
  EXPECT_EQ(names_in(sandbox_.directory()), std::vector<std::string>{"out.heap"});
}

TEST_F(Forged, NameOfADescendant) {
  const std::string script = kForger + " kill " + victim_ + "; exit 0";
  const Ended ended = heapster_run(sandbox_, {"-q", "-o", "out.heap", "/bin/sh", "-c", script});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  const auto written = names_in(sandbox_.path("out.heap.d"));
  ASSERT_EQ(written.size(), 1u);
  EXPECT_THAT(written[0], testing::MatchesRegex("heapster\\.[0-9]+\\.heap"));
  EXPECT_TRUE(names_in(sandbox_.run_directory()).empty());
}

TEST_F(Forged, NameOfAnEarlierImage) {
  EXPECT_EQ(sandbox_.run_measured({kForger, "exec", victim_}).exit_code, 0);
  const auto written = names_in(sandbox_.directory());
  ASSERT_EQ(written.size(), 2u);
  EXPECT_THAT(written[0], testing::MatchesRegex("heapster\\.name\\.[0-9]+\\.heap")) << "one part of a name at most";
  EXPECT_THAT(written[1], testing::MatchesRegex("heapster\\.true\\.[0-9]+\\.heap"));
}

TEST_F(Forged, TextsThatAreNone) {
  const Ended ended = heapster_run(sandbox_, {"-q", kForger, "damage", victim_});
  EXPECT_EQ(ended.exit_code, 128 + SIGKILL);
  EXPECT_THAT(ended.err, HasSubstr("damaged"));
  EXPECT_EQ(names_in(sandbox_.run_directory()).size(), 1u) << "what cannot be read is kept";
}

// Directories that are not to be used, each at `path`.
struct Place {
  const char* name;
  void (*prepare)(const std::string& path);
};
void open_to_all(const std::string& path) {
  fs::create_directory(path);
  fs::permissions(path, fs::perms::all);
}
void readable_by_others(const std::string& path) {
  fs::create_directory(path);
  fs::permissions(path, fs::perms(0755));
}
void of_another(const std::string& path) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  fs::create_directory(path);
  fs::permissions(path, fs::perms::owner_all);
  ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
}
void a_link(const std::string& path) {
  fs::create_directory(path + ".there");
  fs::permissions(path + ".there", fs::perms::owner_all);
  fs::create_directory_symlink(path + ".there", path);
}
void a_file(const std::string& path) { std::ofstream(path) << "file"; }

class RunDirectoryAt : public testing::Test {
 protected:
  void expect_refused(const std::string& path) const {
    for (const Words& words : {Words{"list"}, Words{"list", "--json"}, Words{"show", "1"}, Words{"dump", "1"}}) {
      Words command = words;
      command.insert(command.begin(), heapster_path());
      const Ended ended = sandbox_.run(command, {{"HEAPSTER_RUN_DIR", path}});
      EXPECT_EQ(ended.exit_code, 2) << testing::PrintToString(words);
      EXPECT_THAT(ended.err, HasSubstr(path)) << testing::PrintToString(words);
      EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    }
    const Ended ended = heapster_run(sandbox_, {"-q", kSubject, "return"}, {{"HEAPSTER_RUN_DIR", path}});
    EXPECT_EQ(ended.exit_code, 7);
    EXPECT_THAT(ended.err, HasSubstr(path));
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_TRUE(has_note(sandbox_.snapshot(), "no_run_directory"));
  }
  Sandbox sandbox_;
};

class Refused : public RunDirectoryAt, public testing::WithParamInterface<Place> {};

TEST_P(Refused, ByReadersAndWriters) {
  const std::string path = sandbox_.run_directory() + "/chosen";
  GetParam().prepare(path);
  if (testing::Test::IsSkipped()) return;
  expect_refused(path);
  for (const std::string& at : {path, path + ".there"})
    EXPECT_TRUE(!fs::is_directory(at) || names_in(at).empty()) << at;
}

INSTANTIATE_TEST_SUITE_P(Every, Refused,
                         testing::Values(Place{"OpenToAll", open_to_all}, Place{"Readable", readable_by_others},
                                         Place{"OfAnother", of_another}, Place{"Link", a_link}, Place{"File", a_file}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(RunDirectoryAt, TheEndOfALinkIsRefused) {
  const std::string there = sandbox_.run_directory() + "/there";
  const std::string way = sandbox_.run_directory() + "/way";
  fs::create_directory(there);
  fs::create_directory_symlink(there, way);
  fs::create_directory(there + "/inner");
  fs::permissions(there + "/inner", fs::perms::owner_all);
  expect_refused(way + "/inner");
  EXPECT_TRUE(names_in(there + "/inner").empty());
}

TEST_F(RunDirectoryAt, TheEndOfALinkIsNotMade) {
  const std::string there = sandbox_.run_directory() + "/there";
  const std::string way = sandbox_.run_directory() + "/way";
  fs::create_directory(there);
  fs::create_directory_symlink(there, way);
  EXPECT_EQ(sandbox_.run_measured({kSubject, "return"}, {{"HEAPSTER_RUN_DIR", way + "/new"}}).exit_code, 7);
  heapster_run(sandbox_, {"-q", "true"}, {{"HEAPSTER_RUN_DIR", way + "/new"}});
  EXPECT_FALSE(fs::exists(there + "/new"));
}

// Somebody who may write where heapster-run works has put a link where descendants' snapshots go.
TEST(Descendants, DoNotFollowAPlantedLink) {
  for (const bool killed : {false, true}) {
    const Sandbox sandbox;
    fs::create_directory(sandbox.path("target"));
    fs::create_directory_symlink("target", sandbox.path("out.heap.d"));
    const std::string script = killed ? kSubject + " kill; exit 0" : "/bin/ls >/dev/null; exit 0";
    const Ended ended = heapster_run(sandbox, {"-q", "-o", "out.heap", "/bin/sh", "-c", script});
    EXPECT_EQ(ended.exit_code, 0);
    EXPECT_THAT(ended.err, HasSubstr("out.heap.d: a link"));
    EXPECT_TRUE(names_in(sandbox.path("target")).empty());
    EXPECT_EQ(names_in(sandbox.run_directory()).size(), 1u) << "kept where it was";
  }
}

TEST(Descendants, DoNotGoIntoAnothersDirectory) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  const Sandbox sandbox;
  fs::create_directory(sandbox.path("out.heap.d"));
  ASSERT_EQ(chown(sandbox.path("out.heap.d").c_str(), kNobody, kNobody), 0);
  const Ended ended = heapster_run(sandbox, {"-q", "-o", "out.heap", "/bin/sh", "-c", "/bin/ls >/dev/null; exit 0"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_THAT(ended.err, HasSubstr("out.heap.d: belongs to another user"));
  EXPECT_TRUE(names_in(sandbox.path("out.heap.d")).empty());
}

// Where others may write, they may plant a snapshot that claims to be the program's.
TEST(Planted, SnapshotOfAnotherUserIsNotTheProgramsReport) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  const Sandbox sandbox;
  // It copies its own segment over, as somebody else's next image.
  const std::string script =
      "cp \"$HEAPSTER_RUN_DIR\"/*-$$-* heapster.forged.$$.1.heap; chown 65534 heapster.forged.$$.1.heap; "
      "printf '\\2' | dd of=heapster.forged.$$.1.heap bs=1 seek=20 conv=notrunc status=none; exit 5";
  const Ended ended = heapster_run(sandbox, {"/bin/sh", "-c", script});
  EXPECT_EQ(ended.exit_code, 5);
  EXPECT_THAT(ended.err, HasSubstr("is user 65534's; not taken for the program's"));
  EXPECT_THAT(ended.err, testing::ContainsRegex("snapshot: heapster.dash"));
}

// The directory that the program worked in at its start is moved away, and a link put in its place.
TEST(WorkingDirectory, IsKeptAndNotItsPath) {
  const Sandbox sandbox;
  fs::create_directory(sandbox.path("work"));
  fs::create_directory(sandbox.path("target"));
  Background background(
      sandbox, {"/bin/sh", "-c", "cd work && exec env LD_PRELOAD=" + preload_path() + " " + kSubject + " stay"},
      {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  fs::rename(sandbox.path("work"), sandbox.path("moved"));
  fs::create_directory_symlink("target", sandbox.path("work"));
  background.send(SIGUSR1);
  EXPECT_TRUE(eventually([&] {
    const auto listing = reader::list(sandbox.run_directory());
    return listing && !listing->found.empty() && has_note(listing->found[0].snapshot, "snapshot_failed");
  }));
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 0);
  EXPECT_TRUE(names_in(sandbox.path("target")).empty());
  const auto listing = reader::list(sandbox.run_directory());
  ASSERT_EQ(listing->found.size(), 1u) << "the segment says it all";
  EXPECT_GE(allocated_in_bucket_of(listing->found[0].snapshot, 100), 1000);
}

// The run directory is shared with all that the user runs: what was there before is nobody's of this run, and is not
// opened.
TEST(RunDirectory, IsNotReadAgainAndAgain) {
  const Sandbox sandbox;
  ASSERT_EQ(sandbox.run_measured({kSubject, "kill"}).signal, SIGKILL);
  ASSERT_EQ(
      sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_OUT", sandbox.run_directory() + "/x.heap"}}).exit_code, 7);
  const int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  for (const std::string& name : names_in(sandbox.run_directory()))
    ASSERT_GE(inotify_add_watch(events, (sandbox.run_directory() + "/" + name).c_str(), IN_OPEN), 0);
  Background background(sandbox, {heapster_path(), "run", "-q", "-o", "out.heap", kSubject, "stay"},
                        {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  // Somebody else's snapshot comes while it runs: looked at once, in two looks and at the end.
  const std::string late = sandbox.run_directory() + "/late.heap";
  fs::copy_file(sandbox.run_directory() + "/x.heap", sandbox.run_directory() + "/.late");
  char drop[4096];
  while (read(events, drop, sizeof drop) > 0) {
  }
  const int watched = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(watched, (sandbox.run_directory() + "/.late").c_str(), IN_OPEN), 0);
  fs::rename(sandbox.run_directory() + "/.late", late);
  EXPECT_TRUE(eventually([&] { return read(watched, drop, sizeof drop) > 0; })) << "it is looked at";
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 0);
  EXPECT_LT(read(events, drop, sizeof drop), 0) << "what was there before was opened";
  close(events);
  close(watched);
}

}  // namespace
}  // namespace heapster::test
