// SPDX-License-Identifier: MIT
//
// A program that the kernel ended for its memory leaves a segment that says who held it. Where this machine lets us
// limit the memory of a group of processes, the kernel does end it; elsewhere the program ends as if it had.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "report/culprit.h"
#include "support/numbers.h"
#include "support/run.h"
#include "symbols/symbolizer.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;

// A group of processes that may not use more memory than this.
class MemoryGroup {
 public:
  explicit MemoryGroup(uint64_t bytes) {
    make("/sys/fs/cgroup/memory", "memory.limit_in_bytes", bytes);
    put("memory.memsw.limit_in_bytes", bytes);
    if (path_.empty()) make("/sys/fs/cgroup", "memory.max", bytes);
    put("memory.swap.max", 0);
  }
  ~MemoryGroup() {
    if (!path_.empty()) rmdir(path_.c_str());
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;

  // Where a process writes its number to become one of them; empty: there can be no such group here.
  std::string members() const { return path_.empty() ? "" : path_ + "/cgroup.procs"; }

 private:
  bool put(const std::string& name, uint64_t number) const {
    std::ofstream file(path_ + "/" + name, std::ios::in);  // never made by us
    return !path_.empty() && (file << number << std::flush);
  }
  void make(const std::string& root, const std::string& limit, uint64_t bytes) {
    if (!fs::exists(root + "/cgroup.procs")) return;
    path_ = root + "/heapster-test-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) return path_.clear();
    if (put(limit, bytes)) return;
    rmdir(path_.c_str());
    path_.clear();
  }

  std::string path_;
};

TEST(OutOfMemory, TheSegmentOfTheKilledProgramNamesTheCulprit) {
  const MemoryGroup group(100 << 20);
  Sandbox sandbox;
  Words command = {program_path("subject"), "out-of-memory"};
  if (!group.members().empty()) command.push_back(group.members());
  const Ended ended = sandbox.run_measured(command, {{"HEAPSTER_STACKS", "512K"}});
  ASSERT_EQ(ended.signal, SIGKILL) << "exit status " << ended.exit_code;

  const auto left = reader::list(sandbox.run_directory());
  ASSERT_EQ(left->found.size(), 1u);
  const reader::Snapshot& snapshot = left->found[0].snapshot;
  symbols::Symbolizer symbolizer({.cache = ""});
  report::Sites sites = report::make_sites(snapshot, symbolizer.names(*snapshot.stacks));
  report::sort_by(sites, report::By::kLive);
  ASSERT_FALSE(sites.sites.empty());
  const report::Site& first = sites.sites.front();
  EXPECT_NE(report::culprit(first)->function.str().find("hoard"), std::string::npos)
      << report::culprit(first)->function.str();
  const auto held = static_cast<double>(figure(snapshot, "use_curr"));
  const auto found = report::estimate(first, report::By::kLive, sites.mean_bytes);
  EXPECT_GT(held, 50 << 20);
  EXPECT_NEAR(found.bytes, held, 5 * found.bytes * found.error.value());
}

}  // namespace
}  // namespace heapster::test
