// SPDX-License-Identifier: MIT
//
// Every section empty, with one item and full, as the preload writes a snapshot of it: a process plants a segment under
// its own name and becomes a measured program, which saves what it takes for an earlier image of itself.

#include "sections.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "living.h"
#include "reader/load.h"
#include "support/run.h"

namespace heapster::test {
namespace {

void become_measured(const Sandbox& sandbox, const Filled& filled) {
  umask(077);
  Segment segment = own_segment();
  segment.header().section_count = 7;
  segment.add_text(Text::k_snapshot, sandbox.path("planted.heap"));
  std::ofstream(sandbox.run_directory() + "/" + segment_name(segment), std::ios::binary)
      << filled_segment(segment, filled);
  for (const auto& [name, value] : sandbox.measured()) setenv(name.c_str(), value.c_str(), 1);
  if (chdir(sandbox.directory().c_str()) == 0) execl("/bin/true", "true", nullptr);
  _exit(99);
}

std::optional<reader::Snapshot> saved(const Sandbox& sandbox) {
  for (const std::string& directory : {sandbox.directory(), sandbox.run_directory()})
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      const auto snapshot = reader::load(entry.path().string());
      EXPECT_TRUE(snapshot) << snapshot.error().text;
      if (snapshot && snapshot->process.life == reader::Life::kReplaced) return *snapshot;
    }
  return std::nullopt;
}

class SectionsOfThePreload : public testing::TestWithParam<Filled> {};

TEST_P(SectionsOfThePreload, AreReadBack) {
  const Sandbox sandbox;
  const pid_t pid = fork();
  if (pid == 0) become_measured(sandbox, GetParam());
  int status = 0;
  waitpid(pid, &status, 0);
  ASSERT_EQ(status, 0);
  const auto snapshot = saved(sandbox);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(items_told(*snapshot, GetParam().type), items_expected(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Each, SectionsOfThePreload, testing::ValuesIn(filled_sections()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace heapster::test
