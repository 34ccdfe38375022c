// SPDX-License-Identifier: MIT
//
// `heapster stacks` as its users meet it, and with a real program behind the addresses.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "living.h"
#include "program.h"
#include "stack_tables.h"

namespace heapster::test {
namespace {

class CliStacks : public testing::Test {
 protected:
  CliStacks() {
    setenv("HEAPSTER_RUN_DIR", run_.path().c_str(), 1);
    setenv("XDG_CACHE_HOME", (run_.path() + "/cache").c_str(), 1);
    Segment segment = busy_segment();
    busy_ = run_.write("busy.heap", busy_stacks().behind(segment));
    without_ = run_.write("without.heap", segment.bytes());
  }

  static Ran stacks(const std::string& rest) { return run_shell(HEAPSTER " stacks " + rest); }

  static void expect_fault(const std::string& rest, const std::string& part) {
    const Ran ran = stacks(rest);
    EXPECT_EQ(ran.code, 2) << rest;
    EXPECT_TRUE(ran.err.starts_with("heapster: ")) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out, "") << rest;
  }

  static void expect_says(const std::string& rest, const std::string& part) {
    const Ran ran = stacks(rest);
    EXPECT_EQ(ran.code, 0) << rest << ": " << ran.err;
    EXPECT_NE(ran.out.find(part), std::string::npos) << rest << "\n" << ran.out;
    EXPECT_EQ(ran.err, "") << rest;
  }

  RunDirectory run_;
  std::string busy_, without_;
};

TEST_F(CliStacks, TellsWhoHoldsTheMemory) {
  expect_says(busy_, "counted in all · 22.6 MiB live");
  expect_says(busy_, "    1. libcache.so.1+0x1010\n");
  expect_says("--by allocated " + busy_, "    1. program+0x3010\n");
  expect_says("--by count -n 1 " + busy_, "… 3 more stacks");
  expect_says("--by peak --depth 1 " + busy_, "… 3 more\n");
  expect_says("--by peak " + busy_, "near the peak: at ");
  expect_says(busy_, "incomplete: tables were full\n");
  expect_says("--temporary " + busy_, "737,280 temporary");
  expect_says("--tree " + busy_, "100.0 %   22.6 MiB  program+0x1040");
  expect_says("--callees " + busy_, "From the allocating function outwards");
  expect_says("--growth " + busy_ + " " + busy_, "none");
  expect_says("--by growth " + busy_ + " " + busy_, "Sites by growth");
  expect_says("--format json " + busy_, "\"schema\": \"heapster-stacks/1\"");
  expect_says("--format json --tree " + busy_, "\"tree\": {");
}

TEST_F(CliStacks, ShowAndExplainKnowOfThem) {
  const Ran shown = run_shell(HEAPSTER " show " + busy_);
  EXPECT_NE(shown.out.find("Sampled stacks  one sample in 512 KiB\n"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("  lived: 99.8 % < 4.00 µs\n"), std::string::npos) << shown.out;
  EXPECT_NE(run_shell(HEAPSTER " show --json " + busy_).out.find("\"mean_bytes\": 524288"), std::string::npos);
  EXPECT_NE(run_shell(HEAPSTER " show --json " + without_).out.find("\"stacks\": null"), std::string::npos);
  const Ran explained = run_shell(HEAPSTER " explain temporary_count");
  EXPECT_NE(explained.out.find("(stacks, blocks)"), std::string::npos) << explained.out;
  EXPECT_NE(explained.out.find("(deallocations, blocks, flow)"), std::string::npos) << explained.out;
  EXPECT_NE(run_shell(HEAPSTER " explain samples_dropped").out.find("(sampling, blocks)"), std::string::npos);
}

TEST_F(CliStacks, GrowthIsFromTheEarlierToTheLater) {
  Segment segment = busy_segment();
  segment.header().ending.time += 1'000'000'000;
  const std::string later = run_.write("later.heap", busy_stacks().behind(segment));
  expect_says("--growth " + busy_ + " " + later, "none");
  expect_fault("--growth " + later + " " + busy_, later + ": is the later one of these snapshots");
  std::string bytes = busy_stacks().behind(segment);
  const std::string name = "/usr/bin/program";
  bytes.replace(bytes.find(name), name.size(), "/usr/bin/another");
  const Ran ran = stacks("--growth " + busy_ + " " + run_.write("another.heap", bytes));
  EXPECT_EQ(ran.code, 0);
  EXPECT_EQ(ran.err, "heapster: these are different programs: program and another\n");
}

TEST_F(CliStacks, AnExportTellsThatTablesWereFull) {
  const Ran ran = run_shell(HEAPSTER " export -f folded " + busy_);
  EXPECT_NE(ran.err.find("heapster: tables were full: 2 sampled blocks and 0 stacks are missing\n"), std::string::npos)
      << ran.err;
  EXPECT_NE(ran.out, "");
}

TEST_F(CliStacks, AnExportDoesNotReplaceItsSource) {
  const std::string before = read_whole(busy_);
  const std::string link = run_.path() + "/link.heap";
  std::filesystem::create_hard_link(busy_, link);
  for (const std::string& output : {busy_, link}) {
    const Ran ran = run_shell(HEAPSTER " export -f heap -o " + output + " " + busy_);
    EXPECT_EQ(ran.code, 2);
    EXPECT_EQ(ran.err, "heapster: " + output + ": is the snapshot itself; --output has to be another file\n");
  }
  EXPECT_EQ(read_whole(busy_), before);
}

TEST_F(CliStacks, Filters) {
  expect_says("--module libcache --depth 0 " + busy_,
              "20.0 MiB live of 22.6 MiB · ± 3.23 MiB · 5,120 blocks · 1 stack");
  expect_says("--module libcache --format json " + busy_, "\"selected\": {\n    \"bytes\": 20971520.0");
  expect_says("--function nobody " + busy_, "0 B live of 22.6 MiB");
  expect_says("--function 'program+0x2*' " + busy_, "    1. program+0x2010\n");
  expect_says("--thread worker " + busy_, "20.0 MiB live");
  expect_says("--thread nobody " + busy_, "none");
  expect_says("--thread worker --format json " + busy_, "\"ended_threads\": {\n    \"live_bytes\": 0\n");
  expect_says("--size 1M " + busy_, "    1. program+0x2010\n");
  expect_says("--size 4K:4K --format json " + busy_, "\"sites_found\": 1");
}

TEST_F(CliStacks, NamesStacksByTheirNumbers) {
  const auto only = [&](const std::string& rest) { return stacks("--only " + rest + " " + busy_).out; };
  EXPECT_EQ(only("1"), "program+0x2010\nprogram+0x1040\n\n");
  EXPECT_EQ(only("1,99,1 --depth 1"), "program+0x2010\n\n\nprogram+0x2010\n\n") << "99 is not there";
  expect_fault("--only x " + busy_, "--only");
}

TEST_F(CliStacks, LeaksThatAreKnownAreLeftOut) {
  const std::string known = run_.write("known", "# the cache lives as long as the program\nleak:libcache\n");
  expect_says("--leaks " + busy_, "    1. libcache.so.1+0x1010\n");
  expect_says("--leaks --suppressions " + known + " " + busy_, "    1. program+0x2010\n");
  expect_says("--leaks --suppressions " + known + " " + busy_, "suppressed: 20.0 MiB in 1 stack\n");
  expect_fault("--leaks --suppressions " + busy_ + " " + busy_, "line 1 is not leak:PATTERN");
  expect_says("--leaks --suppressions " + known + " " + busy_, "2.57 MiB live of 22.6 MiB");
  expect_fault("--leaks --suppressions " + run_.path() + "/absent " + busy_, "cannot be read");
  expect_fault("--leaks --suppressions " + run_.path() + " " + busy_, run_.path() + ": cannot be read");
}

TEST_F(CliStacks, WrongWordsAreFaults) {
  expect_fault("", "required");
  expect_fault(without_, "has no stacks");
  expect_fault(run_.path() + "/absent", "No such file");
  expect_fault("--by lvie " + busy_, "did you mean 'live'?");
  expect_fault("--growth " + busy_, "--growth needs two snapshots");
  expect_fault(busy_ + " " + busy_, "--growth compares two");
  expect_fault("--growth --by live " + busy_ + " " + busy_, "an order of its own");
  expect_fault("--leaks --by count " + busy_, "ordered by live bytes");
  expect_fault("--suppressions " + busy_ + " " + busy_, "with --leaks only");
  for (const char* size : {"2:1", "x", "1:x", "", ":"})
    expect_fault(std::string("--size '") + size + "' " + busy_, "--size");
  expect_fault("--thread worker --by peak " + busy_, "live blocks only");
  expect_fault("--format xml " + busy_, "--format");
  expect_fault("--limit -1 " + busy_, "--limit");
  expect_fault("--depth -1 " + busy_, "--depth");
}

TEST_F(CliStacks, NamesComeFromTheProgram) {
  const std::string program = run_.path() + "/subject";
  ASSERT_EQ(run_shell("g++ -g -O2 -fPIE -pie -Wl,--build-id=none " SUBJECT " -o " + program).code, 0);
  StackTables tables(1);
  const uint16_t module = tables.add_module(program, 0x10000000, 0x20000000, 0x10000000, 0);
  std::istringstream told(run_shell(program).out);
  uint64_t address = 0;
  told >> std::hex >> address;
  tables.keep(tables.add_stack({{module, 0x10000000 + address}}), 100, 1);
  Segment segment = busy_segment();
  const std::string file = run_.write("real.heap", tables.behind(segment));
  expect_says(file, "    1. shop::shelf(int)  subject.cpp:18\n");
  expect_says("--function '^shop::Basket::fill' " + file, "shop::Basket::fill(int)  subject.cpp:31\n");
  std::filesystem::create_directories(run_.path() + "/root" + run_.path());
  std::filesystem::rename(program, run_.path() + "/root" + program);
  expect_says(file, "subject: no such object here");
  expect_says("--no-cache --sysroot " + run_.path() + "/root " + file, "    1. shop::shelf(int)  subject.cpp:18\n");
}

TEST_F(CliStacks, ProgressIsForTerminalsAlone) {
  const Ran ran = run_shell("script -qec '" HEAPSTER " stacks " + busy_ + " >/dev/null' /dev/null");
  EXPECT_NE(ran.out.find("names of program (1 of 2)"), std::string::npos) << ran.out;
  EXPECT_EQ(stacks(busy_).err, "");
}

}  // namespace
}  // namespace heapster::test
