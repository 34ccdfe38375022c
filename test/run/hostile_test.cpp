// SPDX-License-Identifier: MIT
//
// Things that others plant where heapster writes and reads: the program runs as ever, nothing of theirs is touched,
// nobody else gets to see anything.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "reader/load.h"
#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const std::string kSubject = program_path("subject");
constexpr uid_t kNobody = 65534;

bool has_entries(const std::string& directory) { return fs::directory_iterator(directory) != fs::directory_iterator(); }

// Each prepares a run directory that is not to be used, and returns where entries must not appear.
struct Place {
  const char* name;
  void (*prepare)(const std::string& path);
};

class HostileRunDirectory : public testing::TestWithParam<Place> {};

TEST_P(HostileRunDirectory, IsNotUsed) {
  const Place place = GetParam();
  const Sandbox sandbox;
  const std::string path = sandbox.run_directory() + "/chosen";
  const std::string target = sandbox.run_directory() + "/target";
  ASSERT_TRUE(fs::create_directory(target));
  fs::permissions(target, fs::perms::owner_all);
  place.prepare(path);
  if (testing::Test::IsSkipped()) return;
  const Ended ended = sandbox.run_measured({kSubject, "return"}, {{"HEAPSTER_RUN_DIR", path}});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_EQ(ended.err, "");
  EXPECT_FALSE(has_entries(target));
  EXPECT_FALSE(fs::is_directory(path) && has_entries(path));
  const auto snapshot = sandbox.snapshot();
  EXPECT_TRUE(has_note(snapshot, "no_run_directory"));
  EXPECT_GE(allocated_in_bucket_of(snapshot, 100), 1000);
}

void open_to_all(const std::string& path) {
  fs::create_directory(path);
  fs::permissions(path, fs::perms::all);
}
void of_the_group(const std::string& path) {
  fs::create_directory(path);
  fs::permissions(path, fs::perms::owner_all | fs::perms::group_exec);
}
void of_another(const std::string& path) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a directory away";
  fs::create_directory(path);
  fs::permissions(path, fs::perms::owner_all);
  ASSERT_EQ(chown(path.c_str(), kNobody, kNobody), 0);
}
void a_link(const std::string& path) { fs::create_directory_symlink("target", path); }
void a_dangling_link(const std::string& path) { fs::create_symlink("target/nothing", path); }
void a_file(const std::string& path) { std::ofstream(path) << "file"; }
void a_fifo(const std::string& path) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); }

INSTANTIATE_TEST_SUITE_P(Every, HostileRunDirectory,
                         testing::Values(Place{"OpenToAll", open_to_all}, Place{"OfTheGroup", of_the_group},
                                         Place{"OfAnother", of_another}, Place{"Link", a_link},
                                         Place{"DanglingLink", a_dangling_link}, Place{"File", a_file},
                                         Place{"Fifo", a_fifo}),
                         [](const auto& test) { return std::string(test.param.name); });

// A shell line that plants something at "$1"; "$2" is a file that must stay as it is.
struct Plant {
  const char* name;
  const char* line;
};
const Plant kPlants[] = {{"Link", "ln -s \"$2\" \"$1\""},
                         {"DanglingLink", "ln -s /nowhere/at/all \"$1\""},
                         {"HardLink", "ln \"$2\" \"$1\""},
                         {"Fifo", "mkfifo \"$1\""},
                         {"Directory", "mkdir \"$1\""},
                         {"File", "echo junk >\"$1\""},
                         {"Liar", "printf 'HEAPSTER%01200d' 0 >\"$1\"; chmod 600 \"$1\""},
                         {"Device", "mknod \"$1\" c 1 3 2>/dev/null || mkfifo \"$1\""}};

class Planted : public testing::TestWithParam<Plant> {
 protected:
  // Runs the subject as the very process whose names the script knows; `where` is a shell word for the place.
  Ended run_over(const std::string& where, const std::string& victim) const {
    std::ofstream(victim) << "precious";
    const std::string script =
        "ticks=$(cut -d' ' -f22 /proc/$$/stat); ns=$(readlink /proc/self/ns/pid | tr -dc 0-9); plant() { " +
        std::string(GetParam().line) + "; }; plant " + where + " " + victim +
        " || exit 99; exec env LD_PRELOAD=" + preload_path() + " HEAPSTER_OUT=out.heap " + kSubject + " return";
    return sandbox_.run({"timeout", "60", "/bin/sh", "-c", "exec /bin/sh -c '" + quoted(script) + "'"},
                        {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  }
  static std::string quoted(std::string text) {
    for (size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
    return text;
  }
  void expect_as_ever(const Ended& ended, const std::string& victim) const {
    EXPECT_EQ(ended.exit_code, 7) << ended.err;
    EXPECT_EQ(ended.err, "");
    EXPECT_EQ(read_file(victim), "precious");
  }
  Sandbox sandbox_;
};

TEST_P(Planted, AtTheSegmentsName) {
  const std::string victim = sandbox_.run_directory() + "/victim";
  const Ended ended = run_over("$HEAPSTER_RUN_DIR/$ns-$$-$ticks", victim);
  expect_as_ever(ended, victim);
  const auto snapshot = reader::load(sandbox_.path("out.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  EXPECT_GE(allocated_in_bucket_of(*snapshot, 100), 1000);
  EXPECT_EQ(sandbox_.run({"timeout", "60", heapster_path(), "list"}, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}})
                .exit_code,
            0);
}

TEST_P(Planted, AtTheSnapshotsTemporaryName) {
  const std::string victim = sandbox_.path("victim");
  expect_as_ever(run_over(".heapster.$$\"a\"", victim), victim);
  const bool written = fs::exists(sandbox_.path("out.heap"));
  EXPECT_TRUE(written || has_entries(sandbox_.run_directory())) << "neither snapshot nor segment";
  EXPECT_TRUE(written || std::string(GetParam().name) == "Directory");
}

TEST_P(Planted, AtTheSnapshotsName) {
  const std::string victim = sandbox_.path("victim");
  expect_as_ever(run_over("out.heap", victim), victim);
  const bool written = reader::load(sandbox_.path("out.heap")).operator bool();
  EXPECT_TRUE(written || has_entries(sandbox_.run_directory())) << "neither snapshot nor segment";
}

INSTANTIATE_TEST_SUITE_P(Every, Planted, testing::ValuesIn(kPlants),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Outsider, NeitherReadsNorListsNorCuts) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to be somebody else";
  const Sandbox sandbox;
  Background background(sandbox, {kSubject, "stay"}, sandbox.measured());
  ASSERT_EQ(background.line(), "ready");
  const std::string directory = sandbox.run_directory();
  const std::string segment = fs::directory_iterator(directory)->path();
  fs::permissions(directory, fs::perms::all);  // let them as far as the file itself
  const auto as_nobody = [&](const std::string& line) {
    return sandbox.run({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c", line})
        .exit_code;
  };
  ASSERT_EQ(as_nobody("test -e " + segment), 0);
  EXPECT_NE(as_nobody("cat " + segment), 0);
  EXPECT_NE(as_nobody("truncate -s 0 " + segment), 0);
  EXPECT_NE(as_nobody("echo >> " + segment), 0);
  fs::permissions(directory, fs::perms::owner_all);
  EXPECT_NE(as_nobody("ls " + directory), 0);
  EXPECT_NE(as_nobody("cat " + segment), 0);
  EXPECT_NE(
      as_nobody("HEAPSTER_RUN_DIR=" + directory + " " + heapster_path() + " show " + std::to_string(background.pid())),
      0);
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 0);
}

// A cut file would end the process by SIGBUS at its next allocation.
TEST(Owner, CannotCutALivingSegmentByAccident) {
  const Sandbox sandbox;
  Words as_user = {"env", "LD_PRELOAD=" + sandbox.copy_of(preload_path())};
  Words plain;
  if (geteuid() == 0) {  // who may do anything
    plain = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    for (const std::string& directory : {sandbox.directory(), sandbox.run_directory()}) {
      ASSERT_EQ(chown(directory.c_str(), kNobody, kNobody), 0);
    }
    as_user.insert(as_user.begin(), plain.begin(), plain.end());
  }
  as_user.insert(as_user.end(), {sandbox.copy_of(kSubject), "stay"});
  Background background(sandbox, as_user, {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  const std::string segment = fs::directory_iterator(sandbox.run_directory())->path();
  for (const char* line : {": > ", "echo >> ", "truncate -s 0 ", "cp /dev/null "}) {
    Words words = plain;
    words.insert(words.end(), {"/bin/sh", "-c", line + segment});
    EXPECT_NE(sandbox.run(words).exit_code, 0) << line;
  }
  EXPECT_GT(fs::file_size(segment), 0u);
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 0);
}

}  // namespace
}  // namespace heapster::test
