// SPDX-License-Identifier: MIT
//
// What nobody came for: told by list and clean, removed by clean where it is asked to, and never a living process's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const std::string kSubject = program_path("subject");

class Leftovers : public testing::Test {
 protected:
  Ended heapster(Words words) const {
    words.insert(words.begin(), heapster_path());
    return sandbox_.run(words, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(sandbox_.run_directory()), fs::directory_iterator()));
  }
  // A killed process's segment, a snapshot, and what a writer did not finish.
  void leave() const {
    EXPECT_EQ(sandbox_.run_measured({kSubject, "kill"}).signal, SIGKILL);
    sandbox_.run_measured({kSubject, "return"}, {{"HEAPSTER_OUT", sandbox_.run_directory() + "/left.heap"}});
    std::ofstream(sandbox_.run_directory() + "/.heapster.4194305a") << "half";
  }
  Sandbox sandbox_;
};

TEST_F(Leftovers, AreToldAndRemovedOnlyOnDemand) {
  Background alive(sandbox_, {kSubject, "stay"}, sandbox_.measured());
  ASSERT_EQ(alive.line(), "ready");
  const std::string live = fs::directory_iterator(sandbox_.run_directory())->path().filename();
  leave();
  ASSERT_EQ(files(), 4u);
  const Ended told = heapster({"clean"});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  for (const char* text : {"segment of a dead process", "left.heap", ".heapster.4194305a", "3 files", "--force"})
    EXPECT_THAT(told.out, HasSubstr(text));
  EXPECT_THAT(told.out, Not(HasSubstr(live)));
  EXPECT_EQ(files(), 4u) << "nothing is removed unless it is asked for";
  EXPECT_THAT(heapster({"list"}).out, HasSubstr("by dead processes: 3 files"));
  EXPECT_EQ(nlohmann::json::parse(heapster({"list", "--json"}).out)["left"]["files"], 3);
  EXPECT_THAT(heapster({"clean", "--force"}).out, HasSubstr("removed 3 files"));
  EXPECT_EQ(fs::directory_iterator(sandbox_.run_directory())->path().filename(), live);
  EXPECT_EQ(files(), 1u);
  EXPECT_THAT(heapster({"clean"}).out, HasSubstr("nothing is left"));
  EXPECT_THAT(heapster({"list"}).out, Not(HasSubstr("dead processes")));
  alive.say("\n");
  EXPECT_EQ(alive.wait().exit_code, 0);
}

// By its number it looks dead from here; the kernel knows that it is not.
TEST_F(Leftovers, AreNoneOfAnotherNamespace) {
  Words isolated = {"unshare"};
  if (geteuid() != 0) isolated.insert(isolated.end(), {"--user", "--map-current-user"});
  isolated.insert(isolated.end(), {"--pid", "--fork", kSubject, "stay"});
  Background inside(sandbox_, isolated,
                    {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}, {"LD_PRELOAD", preload_path()}});
  if (inside.line() != "ready") GTEST_SKIP() << "no namespaces here";
  const size_t before = files();
  EXPECT_THAT(heapster({"clean", "--force"}).out, Not(HasSubstr("segment")));
  EXPECT_EQ(files(), before);
  inside.say("\n");
  inside.wait();
}

TEST_F(Leftovers, OfARefusedDirectoryAreNotTold) {
  fs::permissions(sandbox_.run_directory(), fs::perms(0755));
  for (const Words& words : {Words{"clean"}, Words{"clean", "--force"}}) {
    const Ended ended = heapster(words);
    EXPECT_EQ(ended.exit_code, 2);
    EXPECT_THAT(ended.err, HasSubstr("open to other users"));
  }
}

// A small /dev/shm, as containers have: those who come next find room, whatever those before have left.
TEST_F(Leftovers, DoNotFillTheFileSystem) {
  const std::string script =
      "mount -t tmpfs -o size=4m,mode=0700 none \"$HEAPSTER_RUN_DIR\" || exit 77; "
      "for i in $(seq 200); do LD_PRELOAD=" +
      preload_path() + " HEAPSTER_OUT=\"$HEAPSTER_RUN_DIR/%p.heap\" " + kSubject +
      " return; done; head -c 16384 /dev/zero >\"$HEAPSTER_RUN_DIR/other\" || exit 1; "
      "LD_PRELOAD=" +
      preload_path() + " HEAPSTER_OUT=last.heap " + kSubject + " return";
  Words words = {"unshare", "-m", "/bin/sh", "-c", script};
  if (geteuid() != 0) words.insert(words.begin() + 1, "-r");
  const Ended ended = sandbox_.run(words, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  if (ended.exit_code == 77) GTEST_SKIP() << "no mount namespaces here";
  EXPECT_EQ(ended.exit_code, 7) << ended.err;
  const auto snapshot = sandbox_.snapshot();
  for (const auto& note : snapshot.notes) EXPECT_NE(note.name, "no_space");
}

}  // namespace
}  // namespace heapster::test
