// SPDX-License-Identifier: MIT
//
// Where heapster-run puts its report and the snapshot, and what it says before the program starts.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/run.h"

namespace heapster::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class ReportPlaces : public testing::Test {
 protected:
  Ended run(Words options) const {
    Words words = {heapster_path(), "run"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"/bin/sh", "-c", "echo out; echo err >&2; : >ran"});
    return sandbox_.run(words, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  }
  std::string text_of(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(sandbox_.path(name)).rdbuf();
    return text.str();
  }
  bool ran() const { return std::filesystem::exists(sandbox_.path("ran")); }
  Sandbox sandbox_;
};

TEST_F(ReportPlaces, JsonInAFileIsNotMixedWithTheProgramsOutput) {
  const Ended ended = run({"--json=report.json", "-o", "none"});
  EXPECT_EQ(ended.out, "out\n");
  EXPECT_EQ(ended.err, "err\n");
  EXPECT_EQ(nlohmann::json::parse(text_of("report.json"))["process"]["exit_status"], 0);
}

TEST_F(ReportPlaces, TheReportGoesToAFile) {
  const Ended ended = run({"--report-to", "report.txt", "-o", "none"});
  EXPECT_EQ(ended.err, "err\n");
  EXPECT_THAT(text_of("report.txt"), HasSubstr("Allocations"));
  EXPECT_THAT(text_of("report.txt"), Not(HasSubstr("\033")));
  EXPECT_THAT(run({"--json", "--report-to", "report.json", "-o", "none"}).err, "err\n");
  EXPECT_TRUE(nlohmann::json::parse(text_of("report.json")).contains("stats"));
}

TEST_F(ReportPlaces, WhatCannotBeWrittenIsSaidBeforeTheProgramStarts) {
  std::filesystem::create_directory(sandbox_.path("there"));
  const struct {
    Words options;
    const char* said;
  } kFaults[] = {{{"-o", "nowhere/a.heap"}, "no directory 'nowhere'"},
                 {{"-o", "there"}, "'there' is a directory: expected e.g. there/%e.%p.heap"},
                 {{"--json=nowhere/a.json"}, "nowhere/a.json: No such file or directory"},
                 {{"--report-to", "there"}, "there: Is a directory"},
                 {{"--json=a", "--report-to", "b"}, "one of them names the file"},
                 {{"--limit", "1.5X"}, "invalid size '1.5X': expected e.g. 512K, 64M, 2G"}};
  for (const auto& fault : kFaults) {
    const Ended ended = run(fault.options);
    EXPECT_EQ(ended.exit_code, 2) << fault.said;
    EXPECT_THAT(ended.err, HasSubstr(fault.said));
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_FALSE(ran()) << fault.said;
  }
  EXPECT_EQ(run({"-q", "-o", "there/%e.heap"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::exists(sandbox_.path("there/dash.heap")));
}

}  // namespace
}  // namespace heapster::test
