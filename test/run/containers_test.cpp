// SPDX-License-Identifier: MIT
//
// Measured processes in namespaces and roots of their own, looked at from outside: with the numbers that we know them
// by, wherever their run directory is, and never taken for one of ours.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

const std::string kSubject = program_path("subject");

// unshare with these options, with a user namespace where we are not root.
Words unshared(std::initializer_list<const char*> options) {
  Words words = {"unshare"};
  if (geteuid() != 0) words.insert(words.end(), {"--user", "--map-root-user"});
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

class Container : public testing::Test {
 protected:
  void SetUp() override {
    Words probe = unshared({"--mount", "--pid", "--fork", "--mount-proc"});
    probe.emplace_back("true");
    if (sandbox_.run(probe).exit_code != 0) GTEST_SKIP() << "no namespaces here";
  }

  // A shell script in there; it becomes the subject with `exec $MEASURED`.
  Words inside(Words isolation, const std::string& script) const {
    isolation.insert(isolation.end(), {"/bin/sh", "-c", script});
    return isolation;
  }
  Variables variables() const {
    return {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()},
            {"MEASURED",
             "env LD_PRELOAD=" + sandbox_.copy_of(preload_path()) + " " + sandbox_.copy_of(kSubject) + " stay"}};
  }
  Ended heapster(Words words) const {
    words.insert(words.begin(), heapster_path());
    return sandbox_.run(words, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  }
  // Its entries in the list, by the number that the list gives it. Other tests' containers are in there, too.
  std::vector<json> entries_with(pid_t pid) const {
    std::vector<json> entries;
    const json listing = json::parse(heapster({"list", "--json"}).out);
    for (const json& entry : listing["processes"]) {
      const json& process = entry["process"];
      if (process["outer_pid"] == pid || (process["outer_pid"].is_null() && process["pid"] == pid)) {
        entries.push_back(entry);
      }
    }
    return entries;
  }
  // The process in the container, of which unshare is the parent.
  static pid_t child_of(const Background& background) {
    const std::string pid = std::to_string(background.pid());
    const std::string children = read_file("/proc/" + pid + "/task/" + pid + "/children");
    return children.empty() ? 0 : std::stoi(children);
  }
  void expect_everything_works(pid_t pid, uint32_t inner) const {
    const std::vector<json> entries = entries_with(pid);
    ASSERT_FALSE(entries.empty()) << heapster({"list"}).out << heapster({"list"}).err;
    const json& entry = entries.front();
    EXPECT_EQ(entry["process"]["pid"], inner);
    EXPECT_EQ(entry["process"]["state"], "running");
    EXPECT_GE(entry["stats"]["alloc_count"], 1000);
    const std::string number = std::to_string(pid);
    const Ended shown = heapster({"show", number});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("running for"));
    if (static_cast<pid_t>(inner) != pid) {
      const std::string both = number + " (inside: " + std::to_string(inner) + ")";
      EXPECT_THAT(shown.out, HasSubstr("pid " + both));
      EXPECT_THAT(heapster({"list"}).out, HasSubstr(both));
    }
    ASSERT_EQ(heapster({"dump", number, "-o", "dump.heap"}).exit_code, 0);
    const reader::Snapshot dumped = sandbox_.snapshot();
    EXPECT_EQ(dumped.process.identity.pid, inner);
    EXPECT_EQ(dumped.process.life, reader::Life::kRunning);
    EXPECT_GE(allocated_in_bucket_of(dumped, 100), 1000);
  }
  Sandbox sandbox_;
};

constexpr const char* kOwnShm = "mount -t tmpfs none /dev/shm && export HEAPSTER_RUN_DIR=/dev/shm/inner && exec ";

TEST_F(Container, WithARunDirectoryOfItsOwn) {
  Background background(sandbox_,
                        inside(unshared({"--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}),
                               std::string(kOwnShm) + "$MEASURED"),
                        variables());
  ASSERT_EQ(background.line(), "ready");
  const pid_t pid = child_of(background);
  expect_everything_works(pid, 1);
  background.say("\n");
  EXPECT_EQ(background.wait().exit_code, 0);
  EXPECT_TRUE(entries_with(pid).empty());
}

TEST_F(Container, WithOurRunDirectory) {
  Background background(
      sandbox_, inside(unshared({"--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}), "exec $MEASURED"),
      variables());
  ASSERT_EQ(background.line(), "ready");
  const pid_t pid = child_of(background);
  expect_everything_works(pid, 1);
  EXPECT_EQ(entries_with(pid).size(), 1u) << "listed once";
  EXPECT_EQ(heapster({"show", "1"}).exit_code, 2) << "our process 1 is another one";
  kill(pid, SIGKILL);
  background.wait();
  EXPECT_TRUE(entries_with(pid).empty());
  EXPECT_THAT(heapster({"list"}).out, HasSubstr("dead"));
}

TEST_F(Container, AChildThatOnlyInheritedAMappingIsNotItsOwner) {
  Background background(
      sandbox_,
      inside(unshared({"--mount", "--pid", "--fork", "--mount-proc", "--kill-child"}),
             std::string(kOwnShm) + "env LD_PRELOAD=" + preload_path() + " " + kSubject + " parent-idle"),
      variables());
  ASSERT_EQ(background.line(), "child");
  const pid_t owner = child_of(background);
  const std::string number = std::to_string(owner);
  const std::string child = read_file("/proc/" + number + "/task/" + number + "/children");
  ASSERT_FALSE(child.empty());
  EXPECT_EQ(entries_with(owner).size(), 1u);
  EXPECT_TRUE(entries_with(std::stoi(child)).empty());
  EXPECT_EQ(heapster({"show", std::to_string(std::stoi(child))}).exit_code, 2);
}

// The jail shares our mount namespace; the one below has its own and another root inside it.
std::string jail_script(const std::string& jail, bool with_proc) {
  return "set -e; mkdir -p " + jail + "; mount -t tmpfs none " + jail + "; cd " + jail +
         "; mkdir -p run proc dev bin; for f in $(ldd " + kSubject + " | grep -o '/[^ ]*') " + kSubject + " " +
         preload_path() + "; do mkdir -p .$(dirname $f); cp $f .$f; done; " +
         (with_proc ? "mount --bind /proc proc; " : "") +
         "export HEAPSTER_RUN_DIR=/run/inner LD_PRELOAD=" + preload_path() + "; ";
}

class Jail : public Container, public testing::WithParamInterface<bool> {};

TEST_P(Jail, IsReachedThroughItsRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for chroot";
  // chroot itself is measured, too, but has become the subject by then.
  const std::string script = jail_script(sandbox_.path("jail"), GetParam()) + "exec chroot . " + kSubject + " stay";
  Background background(sandbox_, inside({"unshare", "--mount"}, script), variables());
  ASSERT_EQ(background.line(), "ready");
  expect_everything_works(background.pid(), static_cast<uint32_t>(background.pid()));
}

INSTANTIATE_TEST_SUITE_P(Proc, Jail, testing::Values(true, false),
                         [](const auto& test) { return test.param ? "Mounted" : "Absent"; });

TEST_F(Container, AChrootInOurMountNamespaceIsReachedByItsPath) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for chroot";
  const std::string jail = sandbox_.path("jail");
  const std::string heapster = heapster_path() + " show $pid";
  const std::string script = "mkfifo in; (" + jail_script(jail, true) + "exec chroot . " + kSubject +
                             " stay) <in & pid=$!; exec 4>in; until " + heapster +
                             " >shown 2>said; do kill -0 $pid || break; done; cat shown said; exec 4>&-; wait";
  const Ended ended =
      sandbox_.run(inside({"unshare", "--mount"}, script), {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  EXPECT_THAT(ended.out, HasSubstr("running for")) << ended.err;
}

// As a user who may not look at everything, in a user namespace.
TEST_F(Container, OfAnUnprivilegedUser) {
  if (geteuid() != 0) GTEST_SKIP() << "the other tests are this one";
  const Words nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
  for (const std::string& directory : {sandbox_.directory(), sandbox_.run_directory()}) {
    ASSERT_EQ(chown(directory.c_str(), 65534, 65534), 0);
  }
  Words start = nobody;
  start.insert(start.end(),
               {"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"});
  Words probe = start;
  probe.emplace_back("true");
  if (sandbox_.run(probe).exit_code != 0) GTEST_SKIP() << "not allowed here";
  Background background(sandbox_, inside(start, std::string(kOwnShm) + "$MEASURED"), variables());
  ASSERT_EQ(background.line(), "ready");
  const pid_t pid = child_of(background);
  Words show = nobody;
  show.insert(show.end(), {sandbox_.copy_of(heapster_path()), "show", std::to_string(pid)});
  const Ended shown = sandbox_.run(show, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  EXPECT_THAT(shown.out, HasSubstr("pid " + std::to_string(pid) + " (inside: 1)")) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("running for"));
}

}  // namespace
}  // namespace heapster::test
