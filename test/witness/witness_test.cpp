// SPDX-License-Identifier: MIT
//
// Our numbers against those of witnesses that are not ours: glibc's libmemusage.so, and valgrind.
//
// What is equal by definition has to be equal to the last call. For that the runs must see the same
// environment, since perl and python copy it to the heap: the same variables, and preloads at
// paths of the same length. What cannot be equal, and why:
//  - memusage adds up a realloc's growth, we its new size: bytes are compared where there is no realloc;
//  - valgrind puts its own, longer paths into LD_PRELOAD, and its malloc gives other addresses: what
//    copies the environment (perl, python), or hashes by address (cc1plus), allocates a little more or
//    less under it;
//  - under a preload that has thread-local variables, ours and memusage's alike, each thread's table
//    of such modules has one more entry of 16 bytes than under valgrind.

#include <gtest/gtest.h>
#include <sys/personality.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;

struct Program {
  const char* name;
  Words command;
  bool varies = false;  // by environment or addresses, which are others under valgrind
  int threads = 0;      // besides the main one
};

std::string compiler_proper() {
  Sandbox sandbox;
  std::string path = sandbox.run({"g++", "-print-prog-name=cc1plus"}).out;
  while (!path.empty() && path.back() == '\n') path.pop_back();
  return path;
}

const std::vector<Program>& programs() {
  static const std::vector<Program> all = {
      {.name = "perl",
       .command = {"/usr/bin/perl", "-e", "my %h; $h{$_} = \"v$_\" for 1..20000; delete $h{$_} for 1..9000"},
       .varies = true},
      {.name = "sqlite3",
       .command = {"/usr/bin/sqlite3", ":memory:",
                   "create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<5000) "
                   "insert into t select x, hex(x*7) from c; create index i on t(b); select count(*) from t where b "
                   "like '%3%';"}},
      {.name = "python3",
       .command = {"/usr/bin/python3", "-S", "-c", "x={i:str(i) for i in range(20000)}; print(len(x))"},
       .varies = true},
      {.name = "cc1plus", .command = {compiler_proper(), "-quiet", "input.cc", "-o", "/dev/null"}, .varies = true},
      {.name = "threads", .command = {program_path("subject"), "threads"}, .threads = 8},
  };
  return all;
}

struct Counts {
  int64_t allocs = 0;  // successful allocations and reallocations
  int64_t frees = 0;
  int64_t bytes = 0;
};

class Witness : public testing::TestWithParam<size_t> {
 protected:
  void SetUp() override {
    personality(ADDR_NO_RANDOMIZE);  // inherited by what we run: cc1plus hashes by address
    std::ofstream(sandbox_.path("input.cc")) << "#include <map>\n#include <string>\nstd::map<std::string, int> m;\n"
                                                "int main() { m[\"a\"] = 1; return static_cast<int>(m.size()); }\n";
    fs::copy_file(preload_path(), sandbox_.path("preload-a.so"));
    fs::copy_file(HEAPSTER_MEMUSAGE, sandbox_.path("preload-b.so"));
  }

  // The same names and lengths for every run; LANG and the like as the tests have them.
  Variables environment(const std::string& preload) const {
    Variables variables = {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()},
                           {"HEAPSTER_OUT", "w.heap"},
                           {"PERL_HASH_SEED", "0"},
                           {"PYTHONHASHSEED", "0"},
                           {"PYTHONDONTWRITEBYTECODE", "1"}};
    if (!preload.empty()) variables["LD_PRELOAD"] = sandbox_.path(preload);
    return variables;
  }

  reader::Snapshot ours(const Program& program) {
    EXPECT_LE(sandbox_.run(program.command, environment("preload-a.so")).exit_code, 1);
    return sandbox_.snapshot();
  }

  // memusage's table: calls, memory, failed calls; numbers by row.
  std::map<std::string, Counts> memusage(const Program& program) {
    std::string text = sandbox_.run(program.command, environment("preload-b.so")).err;
    text = std::regex_replace(text, std::regex("\x1b\\[[0-9;]*m"), "");
    std::map<std::string, Counts> rows;
    for (const char* name : {"malloc", "realloc", "calloc", "free"}) {
      std::smatch match;
      if (!std::regex_search(text, match, std::regex("(^|\n) *" + std::string(name) + "\\| +([0-9]+) +([0-9]+)"))) {
        ADD_FAILURE() << "memusage tells nothing of " << name << ":\n" << text;
        continue;
      }
      rows[name] = {std::stoll(match[2]), 0, std::stoll(match[3])};
    }
    return rows;
  }

  Counts valgrind(const Program& program) {
    Words command = {"valgrind", "--run-libc-freeres=no", "--run-cxx-freeres=no"};
    command.insert(command.end(), program.command.begin(), program.command.end());
    std::string text = sandbox_.run(command, environment("")).err;
    std::erase(text, ',');
    std::smatch match;
    if (!std::regex_search(text, match,
                           std::regex("total heap usage: ([0-9]+) allocs ([0-9]+) frees ([0-9]+) bytes"))) {
      ADD_FAILURE() << "valgrind tells nothing:\n" << text;
      return {};
    }
    return {std::stoll(match[1]), std::stoll(match[2]), std::stoll(match[3])};
  }

  Sandbox sandbox_;
};

TEST_P(Witness, MemusageCountsTheSameCalls) {
  const Program& program = programs()[GetParam()];
  const auto snapshot = ours(program);
  auto theirs = memusage(program);
  ASSERT_EQ(theirs.size(), 4u);
  const int64_t seen = theirs["malloc"].allocs + theirs["calloc"].allocs + theirs["realloc"].allocs;
  const int64_t counted = figure(snapshot, "alloc_count") + figure(snapshot, "realloc_count");
  const double apart = program.varies ? 20 : 0;  // the two libraries are not of one size, and addresses follow
  EXPECT_NEAR(static_cast<double>(counted), static_cast<double>(seen), apart);
  EXPECT_NEAR(static_cast<double>(figure(snapshot, "dealloc_count") + figure(snapshot, "free_null_count")),
              static_cast<double>(theirs["free"].allocs), apart);
  if (theirs["realloc"].allocs == 0) {
    EXPECT_EQ(figure(snapshot, "alloc_sum"), theirs["malloc"].bytes + theirs["calloc"].bytes);
  }
}

TEST_P(Witness, ValgrindCountsTheSame) {
  const Program& program = programs()[GetParam()];
  const auto snapshot = ours(program);
  const Counts theirs = valgrind(program);
  const int64_t allocs = figure(snapshot, "alloc_count") + figure(snapshot, "realloc_count");
  const int64_t frees = figure(snapshot, "dealloc_count") + figure(snapshot, "realloc_count");
  const int64_t bytes = figure(snapshot, "alloc_sum") + figure(snapshot, "realloc_request_sum");
  if (program.varies) {
    EXPECT_NEAR(static_cast<double>(allocs), static_cast<double>(theirs.allocs), 20);
    EXPECT_NEAR(static_cast<double>(frees), static_cast<double>(theirs.frees), 20);
    EXPECT_NEAR(static_cast<double>(bytes), static_cast<double>(theirs.bytes),
                0.02 * static_cast<double>(theirs.bytes));
  } else {
    EXPECT_EQ(allocs, theirs.allocs);
    EXPECT_EQ(frees, theirs.frees);
    EXPECT_EQ(bytes, theirs.bytes + 16 * program.threads);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Witness, testing::Range(size_t{0}, size_t{5}),
                         [](const auto& test) { return std::string(programs()[test.param].name); });

}  // namespace
}  // namespace heapster::test
