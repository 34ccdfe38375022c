// SPDX-License-Identifier: MIT
//
// The command line as its users meet it: exit codes, one line per fault, and what is printed
// where. Figures themselves are tested below it.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "living.h"
#include "program.h"

namespace heapster::test {
namespace {

class Cli : public testing::Test {
 protected:
  Cli() {
    setenv("HEAPSTER_RUN_DIR", run_.path().c_str(), 1);
    busy_ = run_.write("busy.out", busy_segment().bytes());
  }

  static Ran heapster(const std::string& rest) { return run_shell(HEAPSTER " " + rest); }

  // Exit code 2, exactly one line on stderr, nothing on stdout.
  static void expect_fault(const std::string& rest, const std::string& part) {
    const Ran ran = heapster(rest);
    EXPECT_EQ(ran.code, 2) << rest;
    EXPECT_TRUE(ran.err.starts_with("heapster: ")) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
    EXPECT_EQ(ran.out, "") << rest;
  }

  static void expect_says(const std::string& rest, const std::string& part, int code = 0) {
    const Ran ran = heapster(rest);
    EXPECT_EQ(ran.code, code) << rest << ": " << ran.err;
    EXPECT_NE(ran.out.find(part), std::string::npos) << ran.out;
    EXPECT_EQ(ran.err, "") << rest;
  }

  RunDirectory run_;
  std::string busy_;
};

TEST_F(Cli, HelpAndVersionAreAnswers) {
  expect_says("--help", "usage: heapster COMMAND");
  expect_says("--version", "heapster ");
  for (const char* command : {"show", "stacks", "list", "dump", "diff", "check", "export", "explain"}) {
    expect_says("--help", std::string("  ") + command);
    expect_says(std::string(command) + " --help", std::string("heapster ") + command);
  }
}

TEST_F(Cli, WrongWordsAreFaultsWithHints) {
  expect_fault("", "no command");
  expect_fault("shwo", "did you mean 'show'?");
  expect_fault("gibberish", "no command 'gibberish'");
  expect_fault("show", "required");
  expect_fault("show --nonsense " + busy_, "--nonsense");
  expect_fault("show a b", "heapster show --help");
  expect_fault("export --format cvs " + busy_, "did you mean 'csv'?");
  expect_fault("explain alloc_cuont", "did you mean 'alloc_count'?");
  expect_fault("explain xyzzy", "nothing is called 'xyzzy'");
}

TEST_F(Cli, UnreadableFilesAreFaults) {
  run_.write("junk", "junk");
  for (const char* command : {"show ", "export -f json ", "check --max-allocs 1 ", "dump "}) {
    expect_fault(command + run_.path() + "/absent", "No such file or directory");
    expect_fault(command + run_.path() + "/junk", "not a heapster file");
    expect_fault(std::string(command) + "/", "is a directory");
    expect_fault(std::string(command) + "4194305", "no process 4194305");
  }
  expect_fault("show \"$(printf 'two\\nlines')\"", "two?lines");
}

TEST_F(Cli, ShowPrintsTheReport) {
  expect_says("show " + busy_, "heapster: program · pid 4242");
  expect_says("show " + busy_ + " --threads", "worker");
  expect_says("show --timeline " + busy_, "21 points");
  expect_says("show --json " + busy_, "\"schema\": \"heapster/1\"");
}

TEST_F(Cli, OutputIsPlainWhenPiped) { EXPECT_EQ(heapster("show " + busy_).out.find('\033'), std::string::npos); }

TEST_F(Cli, UnwritableOutputIsAFault) {
  for (const std::string& rest : {"show " + busy_, "show --json " + busy_, std::string("list"), std::string("--help"),
                                  std::string("explain"), std::string("show --help")}) {
    const Ran ran = run_shell(HEAPSTER " " + rest + " > /dev/full");
    EXPECT_EQ(ran.code, 2) << rest;
    EXPECT_EQ(ran.err, "heapster: standard output: No space left on device\n") << rest;
  }
  expect_fault("export -f json -o /dev/full " + busy_, "/dev/full: No space left on device");
  expect_fault("export -f json -o " + run_.path() + "/absent/x " + busy_, "No such file or directory");
  expect_fault("dump -o " + run_.path() + "/absent/x " + busy_, "No such file or directory");
}

TEST_F(Cli, AClosedPipeEndsQuietly) {
  const Ran ran = run_shell("trap '' PIPE; " HEAPSTER " export -f json " + busy_ + " | true");
  EXPECT_EQ(ran.err, "");
}

TEST_F(Cli, ListTellsWhoIsThere) {
  EXPECT_EQ(heapster("list").code, 0) << "there is nothing, but perhaps in some container";
  Segment alive = own_segment();
  const Mapping mapping(run_.write(segment_name(alive), alive.whole()));
  Segment dead = own_segment();
  dead.header().identity.pid = 4194305;
  run_.write(segment_name(dead), dead.whole());
  expect_says("list", "running");
  expect_says("list", "dead");
  expect_says("list --json", "\"state\": \"running\"");
  expect_says("show " + std::to_string(getpid()), "running for");
  expect_says("show 4194305", "dead");
}

TEST_F(Cli, ToldThatMoreWasFreedThanAllocated) {
  Segment unseen = own_segment();
  unseen.header().identity.pid = 4194305;
  test::count_free(unseen.add_slot(1, "main"), 5'000'000);
  run_.write(segment_name(unseen), unseen.whole());
  expect_says("list", "partial");
  expect_says("list --json", "\"verdict\": \"partial\"");
  expect_says("show 4194305", "more was freed than was seen to be allocated");
  const Ran ran = heapster("check --max-allocs 1 4194305");
  EXPECT_NE(ran.err.find("more was freed than was seen to be allocated"), std::string::npos) << ran.err;
}

TEST_F(Cli, ListToldOfAnUnreadableSegmentStillLists) {
  run_.write("1-2-3", "junk");
  const Ran ran = heapster("list");
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.err.find("1-2-3: not a heapster file"), std::string::npos);
}

// A FIFO would block, a device could act, a link lead away; the numbers of a liar lead nowhere.
TEST_F(Cli, ListPassesOverWhatOthersPlanted) {
  Segment alive = own_segment();
  const Mapping mapping(run_.write(segment_name(alive), alive.whole()));
  Segment huge = own_segment();
  huge.section(SectionType::kSlots).used = UINT64_MAX / sizeof(Slot);
  run_.write("1-1-1", huge.whole());
  Segment outside = own_segment();
  outside.section(SectionType::kTimeline).offset = INT64_MAX - 8;
  outside.section(SectionType::kTimeline).used = 1;
  run_.write("1-1-2", outside.whole());
  run_.write("1-1-3", own_segment().whole().substr(0, 2000));
  run_.write("1-1-4", "");
  ASSERT_EQ(mkfifo((run_.path() + "/1-1-5").c_str(), 0600), 0);
  std::filesystem::create_directory(run_.path() + "/1-1-6");
  std::filesystem::create_symlink(busy_, run_.path() + "/1-1-7");
  std::filesystem::create_symlink("1-1-8", run_.path() + "/1-1-8");
  const Ran ran = heapster("list");
  EXPECT_EQ(ran.code, 0);
  EXPECT_NE(ran.out.find(" " + std::to_string(getpid()) + "  running"), std::string::npos) << ran.out;
  for (const char* said : {"1-1-1: damaged", "1-1-2: ", "1-1-3: truncated", "1-1-4: not a heapster file",
                           "1-1-5: is a FIFO", "1-1-6: is a directory", "1-1-7: is a symbolic link"}) {
    EXPECT_NE(ran.err.find(said), std::string::npos) << said << " in " << ran.err;
  }
  expect_says("show " + std::to_string(getpid()), "running for");
}

// Build systems hand files on as links; a run directory's are another matter.
TEST_F(Cli, AFileThatIsNamedMayBeALinkOrStandardInput) {
  std::filesystem::create_symlink(busy_, run_.path() + "/link.heap");
  for (const char* command : {"show", "check --max-peak 1G", "export -f json"}) {
    const std::string words = std::string(command) + " ";
    EXPECT_EQ(heapster(words + run_.path() + "/link.heap").out, heapster(words + busy_).out) << command;
    EXPECT_EQ(heapster(words + "- <" + busy_).out, heapster(words + busy_).out) << command;
  }
  expect_fault("show - </dev/null", "standard input: not a heapster file");
  expect_fault("show - </proc/self/mem", "standard input: ");
}

TEST_F(Cli, ListChoosesSortsAndAddsUp) {
  const auto put = [&](uint32_t pid, const std::string& command, uint64_t blocks) {
    Segment segment = own_segment();
    segment.header().identity.pid = pid;
    segment.add_text(Text::k_command, command);
    for (uint64_t i = 0; i < blocks; ++i) count_malloc(segment.add_slot(static_cast<uint32_t>(i + 2), "t"), 1000, 1008);
    run_.write(segment_name(segment), segment.whole());
  };
  put(4194305, std::string("python3\0app.py", 14), 1);
  put(4194306, "worker", 3);
  Segment alive = own_segment();
  const Mapping mapping(run_.write(segment_name(alive), alive.whole()));
  const auto order = [&](const std::string& options) {
    const std::string text = heapster("list " + options).out;
    std::string found;
    for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
      for (const char* name : {"worker ", "app.py"})
        if (text.substr(at, text.find('\n', at) - at).find(name) != std::string::npos) found += name[0];
    return found;
  };
  EXPECT_EQ(order("--sort live"), "wa");
  EXPECT_EQ(order("--sort live --reverse"), "aw");
  EXPECT_EQ(order("--sort name"), "aw");
  EXPECT_EQ(order("--name 'python3*'"), "a");
  EXPECT_EQ(order("--name worker"), "w");
  EXPECT_EQ(order("--live"), "");
  EXPECT_EQ(order("--user 4294967294"), "");
  expect_says("list", " processes ");  // others of this machine may be among them
  expect_fault("list --user nobody-of-this-name", "no user 'nobody-of-this-name'");
  expect_fault("list --sort colour", "colour");
}

bool steers_a_terminal(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f || c1) return true;
  }
  return false;
}

// Whoever is measured chooses its name, its arguments and its label; none of them may steer a terminal.
TEST_F(Cli, NothingThatIsPrintedSteersATerminal) {
  const std::string evil = "\033]0;title\a\033[2J\r\x7f\xc2\x9b\x31m\xff";
  Segment alive = own_segment();
  for (const Text key : {Text::k_executable, Text::k_command, Text::k_label, Text::k_allocator, Text::k_option,
                         Text::k_refused, Text::k_snapshot}) {
    alive.add_text(key, "/bin/" + evil);
  }
  alive.field("time").unit[0] = '\033';
  std::copy_n("\033[1m", 5, alive.now(0).name);
  alive.now(0).tid = 4194305;  // so that the kernel does not know a better name
  const std::string path = run_.write(segment_name(alive), alive.whole());
  const Mapping mapping(path);
  const std::string pid = std::to_string(getpid());
  for (const std::string& rest :
       {std::string("list"), std::string("list --json"), "show --threads --timeline " + pid, "show --json " + pid,
        "diff " + pid + " " + path, "diff --json " + pid + " " + path, "export -f csv " + pid,
        "export -f openmetrics " + pid, "export -f massif " + pid, "check --max-allocs 0 " + pid,
        "show '" + run_.path() + "/" + evil.substr(0, 10) + "'", std::string("'\033[1m'")}) {
    const Ran ran = heapster(rest);
    EXPECT_FALSE(steers_a_terminal(ran.out)) << rest << ": " << ran.out;
    EXPECT_FALSE(steers_a_terminal(ran.err)) << rest << ": " << ran.err;
  }
  const Ran dumped = run_shell("cd " + run_.path() + " && " HEAPSTER " dump " + pid);
  EXPECT_EQ(dumped.code, 0) << dumped.err;
  EXPECT_FALSE(steers_a_terminal(dumped.out)) << dumped.out;
}

TEST_F(Cli, DumpWritesASnapshotAndSaysWhere) {
  Segment alive = own_segment();
  const Mapping mapping(run_.write(segment_name(alive), alive.whole()));
  const std::string pid = std::to_string(getpid());
  const std::string to = run_.path() + "/taken.heap";
  expect_says("dump " + pid + " -o " + to, to);
  expect_says("show " + to, "running, at");
  const Ran first = run_shell("cd " + run_.path() + " && " HEAPSTER " dump " + pid + " && " HEAPSTER " dump " + pid);
  const std::string ours = "heapster.cli_test." + pid;  // as the kernel calls this process, whatever the file says
  EXPECT_EQ(first.out, ours + ".dump1.heap\n" + ours + ".dump2.heap\n");
}

TEST_F(Cli, DiffRefusesOtherProcesses) {
  Segment other = busy_segment();
  other.header().identity.pid = 7;
  const std::string path = run_.write("other.out", other.bytes());
  expect_says("diff " + busy_ + " " + busy_, "nothing changed");
  expect_fault("diff " + busy_ + " " + path, "--runs");
  expect_says("diff --runs " + busy_ + " " + path, "nothing changed");
  expect_says("diff --json " + busy_ + " " + busy_, "\"schema\": \"heapster-diff/1\"");
}

TEST_F(Cli, CheckAnswersByItsExitCode) {
  expect_says("check " + busy_ + " --max-allocs 2540 --max-peak 4M", "all budgets kept");
  expect_says("check " + busy_ + " --max-allocs 1e3 --max-peak 1M", "--max-allocs: allocations: 2,540 exceeds 1,000",
              1);
  expect_says("check " + busy_ + " --max-allocs 1e3 --max-peak 1M", "--max-peak", 1);
  expect_says("check " + busy_ + " --baseline " + busy_ + " --tolerance 5%", "all budgets kept");
  expect_fault("check " + busy_, "no budget");
  expect_fault("check " + busy_ + " --max-allocs lots", "invalid number 'lots'");
  expect_fault("check " + busy_ + " --max-peak 1Q", "invalid size '1Q'");
  expect_fault("check " + busy_ + " --max-allocs -1", "");
  expect_fault("check " + busy_ + " --baseline " + busy_ + " --tolerance x", "not a percentage");
  expect_fault("check " + busy_ + " --baseline " + run_.path() + "/absent", "absent: No such file");
}

TEST_F(Cli, ExportWritesEachFormat) {
  expect_says("export --format json " + busy_, "heapster/1");
  expect_says("export --format csv " + busy_, "alloc_count,calls,flow,,,2540");
  expect_says("export --format openmetrics " + busy_, "# EOF");
  expect_says("export --format massif " + busy_, "time_unit: ms");
  const std::string to = run_.path() + "/out.csv";
  expect_says("export --format csv " + busy_ + " -o " + to, "");
  EXPECT_EQ(read_whole(to), heapster("export --format csv " + busy_).out);
}

TEST_F(Cli, ExplainKnowsEveryTable) {
  expect_says("explain use_max", "highest use_curr");
  expect_says("explain alloc_histogram", "successful allocations by requested size");
  expect_says("explain HEAPSTER_OUT", "default heapster.%e.%p.heap");
  expect_says("explain new_bypasses_malloc", "partial");
  expect_says("explain", "realloc_move_count");
}

}  // namespace
}  // namespace heapster::test
