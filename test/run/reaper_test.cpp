// SPDX-License-Identifier: MIT
//
// What killed processes leave behind stays within bounds, and nobody's living segment is taken for a dead one. About
// one start in 64 looks, so the tests start processes until one has. Where a file system is nearly full more of them
// look, so the run directory is a file system of its own.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "layout/segment.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBound = 4096;       // the reaper's own, of files that nobody came for
constexpr size_t kBetween = 1024;     // starts in which one in 64 has looked, as good as surely
constexpr uint32_t kNoPid = 4194305;  // beyond every process number

class Reaper : public testing::Test {
 protected:
  void SetUp() override {
    const std::string user = std::to_string(geteuid());
    if (unshare(user == "0" ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0)
      GTEST_SKIP() << "no mount namespaces here";
    if (user != "0") std::ofstream("/proc/self/uid_map") << user << ' ' << user << " 1";
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", sandbox_.run_directory().c_str(), "tmpfs", 0, "size=1g,mode=0700"), 0);
  }
  void TearDown() override { umount2(sandbox_.run_directory().c_str(), MNT_DETACH); }
  size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(sandbox_.run_directory()), fs::directory_iterator()));
  }
  // The segment of a process of ours that ended `seconds` ago, as an earlier look has dated it.
  std::string leave(const std::string& name, time_t seconds) const {
    Header header{};
    const time_t now = time(nullptr);
    header.identity.started_epoch = static_cast<uint64_t>(now - 2 * seconds) * 1'000'000'000;
    std::string path = sandbox_.run_directory() + "/" + name;
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&header), sizeof header);
    const timespec times[] = {{now - seconds, 0}, {now - seconds, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return path;
  }
  std::string dead_name(uint32_t number) const {
    return std::to_string(own_namespace()) + "-" + std::to_string(kNoPid + number) + "-77";
  }
  static uint64_t own_namespace() {
    struct stat status {};
    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
  }
  void kill_one() const { EXPECT_EQ(sandbox_.run_measured({program_path("subject"), "kill"}).signal, 9); }
  // Kills one process after the other until it holds.
  bool comes_to_hold(const std::function<bool()>& holds) const {
    for (size_t i = 0; i < kBetween && !holds(); ++i) kill_one();
    return holds();
  }
  Sandbox sandbox_;
};

TEST_F(Reaper, HoldsTheBoundWhileProcessesAreKilled) {
  Background alive(sandbox_, {program_path("subject"), "stay"}, sandbox_.measured());
  ASSERT_EQ(alive.line(), "ready");
  const std::string live = fs::directory_iterator(sandbox_.run_directory())->path();
  for (uint32_t i = 0; i < kBound; ++i) leave(dead_name(i), 10);
  ASSERT_GT(entries(), kBound);
  size_t most = 0;
  for (size_t i = 0; i < 200; ++i) {
    kill_one();
    most = std::max(most, entries());
  }
  EXPECT_LE(most, kBound + kBetween);
  EXPECT_TRUE(comes_to_hold([&] { return entries() <= kBound; }));
  EXPECT_TRUE(fs::exists(live));
}

TEST_F(Reaper, TakesTheOldWhereThereAreMany) {
  const std::string young = leave(dead_name(5000), 10);
  const std::string foreign = leave("1-" + std::to_string(kNoPid) + "-77", 1000);
  const std::string half = leave(".heapster." + std::to_string(kNoPid) + "a", 1000);
  const std::string left = leave("heapster.gone.1.heap", 1000);
  for (uint32_t i = 0; i < 1024; ++i) leave(dead_name(i), 1000);
  const std::string old = sandbox_.run_directory() + "/" + dead_name(0);
  ASSERT_TRUE(comes_to_hold([&] { return !fs::exists(old); }));
  EXPECT_LT(entries(), kBetween) << "all of them at once";
  EXPECT_FALSE(fs::exists(half));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(young)) << "somebody may be about to collect it";
  EXPECT_TRUE(fs::exists(foreign)) << "whether it lives cannot be seen from here";
}

// A start reads the directory where there is little in it, or its turn has come; the kernel tells how much there is.
TEST_F(Reaper, LeavesAFullDirectoryUnread) {
  for (uint32_t i = 0; i < 1000; ++i) leave(dead_name(i), 10);
  const int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(events, sandbox_.run_directory().c_str(), IN_ACCESS | IN_ONLYDIR), 0);
  constexpr int kStarts = 30;
  int readings = 0;
  for (int i = 0; i < kStarts; ++i) {
    EXPECT_EQ(sandbox_.run_measured({program_path("subject"), "return"}).exit_code, 7);
    char told[4096];
    readings += read(events, told, sizeof told) > 0;
  }
  close(events);
  EXPECT_LE(readings, kStarts / 3) << "one start in 250 has its turn";
  EXPECT_GE(entries(), 1000u);
}

// 80 MiB is more than is left lying, whatever the number of files; the oldest go, and what is young stays.
TEST_F(Reaper, HoldsABoundOfBytes) {
  const std::string old = leave("heapster.old.1.heap", 5000);
  const std::string young = leave("heapster.young.1.heap", 10);
  for (const std::string& path : {old, young}) {
    const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(posix_fallocate(file, 0, 40 << 20), 0);
    const time_t now = time(nullptr);
    const timespec times[] = {{0, UTIME_OMIT}, {now - (path == old ? 5000 : 10), 0}};
    ASSERT_EQ(futimens(file, times), 0);
    close(file);
  }
  EXPECT_TRUE(comes_to_hold([&] { return !fs::exists(old); }));
  EXPECT_TRUE(fs::exists(young));
}

// In another time namespace the kernel tells another start of it.
TEST_F(Reaper, LeavesWhoLivesInAnotherTime) {
  Words words = {"unshare", "--time", "--boottime", "100000", "--fork"};
  if (geteuid() != 0) words.insert(words.begin() + 1, "--map-current-user");
  for (const auto& [name, value] : sandbox_.measured()) words.insert(words.end(), {"env", name + "=" + value});
  words.insert(words.end(), {program_path("subject"), "stay"});
  Background alive(sandbox_, words, {});
  if (alive.line() != "ready") GTEST_SKIP() << "no time namespaces here";
  const std::string live = fs::directory_iterator(sandbox_.run_directory())->path();
  const time_t day = 24 * 3600;
  const uint64_t long_ago = static_cast<uint64_t>(time(nullptr) - 4 * day) * 1'000'000'000;
  fs::permissions(live, fs::perms(0600));
  std::fstream(live, std::ios::in | std::ios::out | std::ios::binary)
      .seekp(offsetof(Header, identity.started_epoch))
      .write(reinterpret_cast<const char*>(&long_ago), sizeof long_ago);
  const timespec times[] = {{0, UTIME_OMIT}, {time(nullptr) - 2 * day, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, live.c_str(), times, 0), 0);
  const std::string dead = leave(dead_name(1), 2 * day);
  EXPECT_TRUE(comes_to_hold([&] { return !fs::exists(dead); }));
  EXPECT_TRUE(fs::exists(live));
}

TEST_F(Reaper, LeavesAFewForADay) {
  const std::string hour = leave(dead_name(1), 3600);
  const std::string days = leave(dead_name(2), 48 * 3600);
  EXPECT_TRUE(comes_to_hold([&] { return !fs::exists(days); }));
  EXPECT_TRUE(fs::exists(hour));
}

}  // namespace
}  // namespace heapster::test
