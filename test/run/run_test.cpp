// SPDX-License-Identifier: MIT
//
// heapster-run as a person uses it: the program is what it is without it, and the report comes
// however the program ends.

#include "support/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "reader/load.h"
#include "reader/proc.h"
#include "support/numbers.h"

namespace heapster::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const std::string kSubject = program_path("subject");

char process_state(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos ? '?' : stat[name_end + 2];
}

class HeapsterRun : public testing::Test {
 protected:
  Ended run(Words options, const Words& command, Variables variables = {}, const std::string& input = {}) {
    options.insert(options.begin(), {heapster_path(), "run"});
    options.insert(options.end(), command.begin(), command.end());
    variables.emplace("HEAPSTER_RUN_DIR", sandbox_.run_directory());
    return sandbox_.run(options, variables, input);
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(sandbox_.directory())) {
      const std::string name = entry.path().filename();
      if (name[0] != '.') names.push_back(name);
    }
    return names;
  }
  // What is left in the run directory, which is memory.
  size_t left() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(sandbox_.run_directory()), fs::directory_iterator()));
  }
  Sandbox sandbox_;
};

TEST_F(HeapsterRun, ReportsToStderrAndLeavesTheProgramsOutputAlone) {
  const Ended ended = run({}, {"/bin/cat"}, {}, "hello\n");
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.out, "hello\n");
  EXPECT_THAT(ended.err, HasSubstr("Allocations"));
  EXPECT_THAT(ended.err, HasSubstr("coverage full"));
  EXPECT_THAT(ended.err, Not(HasSubstr("\x1b"))) << "no colour but on a terminal";
  EXPECT_EQ(files().size(), 1u);
  EXPECT_EQ(left(), 0u);
}

// The option has its value behind "=", so the word that follows is the program's.
TEST_F(HeapsterRun, SamplesStacks) {
  for (const auto& [option, mean] : {std::pair{"--stacks", 512 * 1024}, std::pair{"--stacks=1", 1}}) {
    Sandbox apart;
    const std::string path = apart.path("stacks.heap");
    EXPECT_EQ(run({"-q", "-o", path, option}, {kSubject, "return"}).exit_code, 7);
    const auto snapshot = reader::load(path);
    ASSERT_TRUE(snapshot) << snapshot.error().text;
    ASSERT_TRUE(snapshot->stacks) << option;
    EXPECT_EQ(snapshot->stacks->sampling.mean_bytes, static_cast<uint64_t>(mean));
  }
}

TEST_F(HeapsterRun, TellsHowASizeOfStacksIsGiven) {
  const Ended ended = run({"--stacks"}, {"64K", "true"});
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_THAT(ended.err, HasSubstr("64K: no such program (a size is given by --stacks=64K)"));
  EXPECT_THAT(run({"--help"}, {}).out, HasSubstr("--stacks[=SIZE]"));
}

TEST_F(HeapsterRun, ExitsWithTheProgramsStatus) {
  EXPECT_EQ(run({"-q"}, {kSubject, "return"}).exit_code, 7);
  EXPECT_EQ(run({"-q"}, {kSubject, "terminate"}).exit_code, 128 + SIGTERM);
  EXPECT_EQ(run({"-q"}, {kSubject, "kill"}).exit_code, 128 + SIGKILL);
}

TEST_F(HeapsterRun, CollectsWhatAKilledProgramLeft) {
  const Ended ended = run({}, {kSubject, "kill"});
  EXPECT_THAT(ended.err, HasSubstr("ended by signal 9 (Killed)"));
  const auto snapshot = sandbox_.snapshot();
  EXPECT_GE(allocated_in_bucket_of(snapshot, 100), 1000);
  EXPECT_EQ(left(), 0u);
}

// What the process cannot tell, since it is gone.
TEST_F(HeapsterRun, TellsWhenAndHowAKilledProgramEnded) {
  const std::string script = "my $text = 'x' x 1e6; select undef, undef, undef, 1.1; kill KILL => $$";
  const auto json = nlohmann::json::parse(run({"--json", "-o", "killed.heap"}, {"perl", "-e", script}).err);
  const auto kept = reader::load(sandbox_.path("killed.heap"));
  ASSERT_TRUE(kept) << kept.error().text;
  EXPECT_EQ(json["process"]["signal"], SIGKILL);
  EXPECT_EQ(json["process"]["state"], "dead");
  EXPECT_GE(json["process"]["duration"], 1.1);
  EXPECT_EQ(kept->process.wait_status, SIGKILL);
  EXPECT_EQ(kept->process.boot_id, reader::boot_id());
  EXPECT_GE(kept->process.duration, 1.1);
  const auto& timeline = kept->timeline;
  EXPECT_GE(timeline.points.back()[*timeline.column("time")], 1'100'000'000);
  EXPECT_EQ(timeline.points.back()[*timeline.column("use_curr")], kept->stats.use.curr.value());
}

// A cgroup of 48 MiB; it is removed with the object.
class SmallCgroup {
 public:
  SmallCgroup() {
    std::ifstream lines("/proc/self/cgroup");
    for (std::string line; std::getline(lines, line);) {
      const std::string path = line.substr(line.find('/')) + "/heapster-test-" + std::to_string(getpid());
      const bool first = line.find(":memory:") != std::string::npos;
      if (!first && !line.starts_with("0::")) continue;
      const std::string directory = "/sys/fs/cgroup" + std::string(first ? "/memory" : "") + path;
      std::error_code fault;
      if (!fs::create_directory(directory, fault)) continue;
      std::ofstream limit(directory + (first ? "/memory.limit_in_bytes" : "/memory.max"));
      if (limit << (48 << 20) << std::flush) {
        directory_ = directory;
        return;
      }
      fs::remove(directory, fault);
    }
  }
  SmallCgroup(const SmallCgroup&) = delete;
  ~SmallCgroup() {
    if (!directory_.empty()) eventually([&] { return rmdir(directory_.c_str()) == 0; });
  }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

TEST_F(HeapsterRun, TellsThatTheKernelKilledForWantOfMemory) {
  const SmallCgroup cgroup;
  if (cgroup.directory().empty()) GTEST_SKIP() << "no cgroup can be made here";
  const Ended ended = sandbox_.run({"sh", "-c",
                                    "echo $$ > " + cgroup.directory() + "/cgroup.procs && exec " + heapster_path() +
                                        " run --json -o killed.heap perl -e 'my @all; push @all, q(x) x 1e6 while 1'"},
                                   {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  EXPECT_EQ(ended.exit_code, 128 + SIGKILL) << ended.err;
  const auto snapshot = reader::load(sandbox_.path("killed.heap"));
  ASSERT_TRUE(snapshot) << snapshot.error().text;
  ASSERT_FALSE(snapshot->notes.empty());
  EXPECT_EQ(snapshot->notes.back().name, "oom_kill");
  EXPECT_EQ(snapshot->notes.back().count, 1u);
  EXPECT_THAT(ended.err, HasSubstr("\"oom_kill\""));
}

TEST_F(HeapsterRun, TellsTheExitOfAProgramThatLeavesByASystemCall) {
  const std::string script =
      "import ctypes; ctypes.CDLL(None).syscall(231 if __import__('os').uname().machine == "
      "'x86_64' else 94, 3)";
  const Ended ended = run({"-o", "left.heap"}, {"/usr/bin/python3", "-c", script});
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_THAT(ended.err, HasSubstr("exited with 3 after "));
  EXPECT_EQ(reader::load(sandbox_.path("left.heap"))->process.life, reader::Life::kExited);
}

TEST_F(HeapsterRun, SeesAProgramThroughTheDynamicLinker) {
  const std::string loader =
      fs::exists("/lib64/ld-linux-x86-64.so.2") ? "/lib64/ld-linux-x86-64.so.2" : "/lib/ld-linux-aarch64.so.1";
  const Ended ended = run({"--stacks=1"}, {loader, kSubject, "return"});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(ended.err, Not(HasSubstr("statically linked")));
  EXPECT_THAT(ended.err, testing::StartsWith("heapster: subject"));
  const auto snapshot = sandbox_.snapshot();
  EXPECT_EQ(snapshot.process.executable, fs::canonical(kSubject));
  ASSERT_TRUE(snapshot.stacks);
  const auto& modules = snapshot.stacks->modules;
  EXPECT_TRUE(std::any_of(modules.begin(), modules.end(),
                          [&](const reader::Module& module) { return module.path == snapshot.process.executable; }));
}

TEST_F(HeapsterRun, PutsDescendantsIntoOneDirectoryAndOneTable) {
  std::ofstream(sandbox_.path("Makefile")) << "all: a b c\na b c:\n\tperl -e 'my @$@ = (1..1000)'\n";
  const Ended ended = run({}, {"make", "-j2"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_THAT(ended.err, testing::ContainsRegex("perl +3 "));
  const auto root = sandbox_.snapshot();
  EXPECT_EQ(reader::short_name(root.process), "make");
  const std::string directory = "heapster.make." + std::to_string(root.process.identity.pid) + ".heap.d";
  size_t perls = 0;
  for (const auto& entry : fs::directory_iterator(sandbox_.path(directory))) {
    perls += entry.path().filename().string().starts_with("heapster.perl.");
  }
  EXPECT_EQ(perls, 3u);
  EXPECT_EQ(files().size(), 3u) << "Makefile, snapshot, directory";
  EXPECT_EQ(left(), 0u);
}

// A killed process leaves a segment, of which a snapshot is made; one that dumps on the signal leaves two snapshots.
TEST_F(HeapsterRun, CountsEachDescendantOnce) {
  const std::string script =
      "for signal in KILL ABRT SEGV TERM USR1; do perl -e \"kill $signal => \\$\\$\"; done; "
      "perl -e 'kill USR1 => $$; kill KILL => $$'; :";
  for (const Words& options : {Words{"--json"}, Words{"--json", "-o", "none"}}) {
    const auto json = nlohmann::json::parse(run(options, {"bash", "-c", "exec 2>&-; " + script}).err);
    std::map<std::string, int> processes;
    for (const auto& family : json["descendants"]) processes[family["executable"]] = family["processes"];
    EXPECT_EQ(processes["perl"], 6) << json["descendants"];
  }
  EXPECT_THAT(run({}, {"bash", "-c", "exec 2>&-; " + script}).err, testing::ContainsRegex("perl +6 "));
  EXPECT_EQ(left(), 0u);
}

TEST_F(HeapsterRun, JudgesByBudgets) {
  EXPECT_EQ(run({"-q", "--max-allocs", "1e9"}, {kSubject, "exec"}).exit_code, 1) << "the program's own failure";
  EXPECT_EQ(run({"-q", "--max-allocs", "1e9", "--max-peak", "1G"}, {kSubject, "nothing"}).exit_code, 0);
  const Ended broken = run({"-q", "--max-allocs", "0", "--max-peak=1"}, {kSubject, "nothing"});
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err, HasSubstr("--max-allocs"));
  EXPECT_THAT(broken.err, HasSubstr("--max-peak"));
  EXPECT_EQ(run({"-q", "--max-allocs", "0"}, {kSubject, "return"}).exit_code, 7);
}

// The shell itself stays small.
TEST_F(HeapsterRun, JudgesTheWholeTree) {
  const Words command = {"bash", "-c", "perl -e 'my $text = \"x\" x (8 << 20)'; :"};
  const Ended broken = run({"-q", "-o", "tree.heap", "--max-peak", "4M"}, command);
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.err, testing::ContainsRegex("budget broken: perl pid [0-9]+: --max-peak: "));
  EXPECT_THAT(broken.err, HasSubstr("budgets judged by bash and 1 more process"));
  const Ended kept = run({"-q", "-o", "none", "--max-peak", "1G"}, command);
  EXPECT_EQ(kept.exit_code, 0);
  EXPECT_EQ(kept.err, "heapster-run: budgets kept by bash and 1 more process\n");
  const auto json = nlohmann::json::parse(run({"--json", "-o", "none", "--max-peak", "4M"}, command).err);
  EXPECT_EQ(json["budgets"]["kept"], false);
  EXPECT_EQ(json["budgets"]["processes"], 2);
  const Ended checked = sandbox_.run({heapster_path(), "check", sandbox_.path("tree.heap"), "--max-peak", "4M"});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_THAT(checked.out, testing::ContainsRegex("^perl pid [0-9]+: --max-peak: "));
  EXPECT_THAT(checked.out, HasSubstr("judged: bash and 1 more process\n"));
}

TEST_F(HeapsterRun, MissesABaselineBeforeTheProgramStarts) {
  const Ended ended = run({"-q", "--baseline", "absent.heap"}, {"touch", "started"});
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_THAT(ended.err, HasSubstr("absent.heap: No such file"));
  EXPECT_TRUE(files().empty());
}

TEST_F(HeapsterRun, ComparesWithABaseline) {
  ASSERT_EQ(run({"-q", "-o", "base.heap"}, {kSubject, "nothing"}).exit_code, 0);
  EXPECT_EQ(run({"-q", "-o", "a.heap", "--baseline", "base.heap"}, {kSubject, "nothing"}).exit_code, 0);
  EXPECT_EQ(run({"-q", "-o", "b.heap", "--baseline", "base.heap", "--tolerance", "5%"}, {kSubject, "sizes"}).exit_code,
            1);
}

TEST_F(HeapsterRun, SaysBeforehandWhatCannotBeSeen) {
  const Ended fixed = run({"-q"}, {"/sbin/ldconfig", "-p"});
  EXPECT_EQ(fixed.exit_code, 0);
  EXPECT_THAT(fixed.err, HasSubstr("statically linked"));
  const Ended own = run({"-q"}, {program_path("own_malloc")});
  EXPECT_EQ(own.exit_code, 0) << "its reallocarray has to use its own realloc";
  EXPECT_THAT(own.err, HasSubstr("defines malloc itself"));
}

TEST_F(HeapsterRun, SeesAProgramThatHasAStubForMalloc) {
  const Ended ended = run({"--json"}, {program_path("fixed_address")});
  const auto json = nlohmann::json::parse(ended.err);
  EXPECT_EQ(json["coverage"]["verdict"], "full");
  EXPECT_GE(json["stats"]["alloc_count"], 100);
}

TEST_F(HeapsterRun, RefusesNonsenseInOneLine) {
  for (const Words& words : {Words{"--nonsense", "true"}, Words{"no-such-program"}, Words{"--signal", "X", "true"},
                             Words{"--max-peak", "x", "true"}, Words{"--allocator", "nothing", "true"},
                             Words{"--run-dir", "relative", "true"}, Words{"--stacks=few", "true"}, Words{},
                             Words{sandbox_.directory()}, Words{"--baseline"}}) {
    const Ended ended = run({}, words);
    EXPECT_EQ(ended.exit_code, 2) << testing::PrintToString(words);
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  }
  EXPECT_TRUE(files().empty());
}

TEST_F(HeapsterRun, SaysWhichVariablesItIgnored) {
  const Ended ended = run({"-q"}, {kSubject, "return"}, {{"HEAPSTER_SIGNAL", "NONSENSE"}});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(ended.err, HasSubstr("HEAPSTER_SIGNAL=NONSENSE"));
}

TEST_F(HeapsterRun, WritesNoFileWithoutAnOutputAndStillReports) {
  const Ended ended = run({"-o", "none"}, {kSubject, "fork"});
  EXPECT_THAT(ended.err, HasSubstr("Allocations"));
  EXPECT_THAT(ended.err, HasSubstr("Descendants, 1 in all"));
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(left(), 0u);
}

TEST_F(HeapsterRun, KeepsTheNumbersWhereTheOutputCannotBeWritten) {
  const Ended ended = run({"-o", "/proc/nowhere.heap"}, {kSubject, "return"});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(ended.err, HasSubstr("/proc/nowhere.heap"));
  EXPECT_THAT(ended.err, HasSubstr("Allocations"));
  EXPECT_EQ(left(), 1u) << "the segment is kept";
}

TEST_F(HeapsterRun, ReportsAsJson) {
  const Ended ended = run({"--json"}, {kSubject, "fork"});
  const auto json = nlohmann::json::parse(ended.err);
  EXPECT_EQ(json["schema"], "heapster/1");
  EXPECT_EQ(json["descendants"][0]["alloc_count"], 300);
}

TEST_F(HeapsterRun, ReportsTheLastImageAfterAnExec) {
  const Ended ended = run({}, {"/bin/sh", "-c", "exec " + kSubject + " return"});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(ended.err, testing::StartsWith("heapster: subject"));
  EXPECT_THAT(ended.err, HasSubstr("before its exec: dash"));
}

// An image writes its own snapshot, and that of the one before, where heapster-run looks for them.
TEST_F(HeapsterRun, FindsWhatImagesWroteThatWentElsewhere) {
  fs::create_directory(sandbox_.path("100%p"));
  fs::create_directory(sandbox_.path("100%p/inner"));
  const std::string script =
      "cd 100%p && exec " + heapster_path() + " run -o o.heap /bin/sh -c 'cd inner && exec " + kSubject + " return'";
  const Ended ended = sandbox_.run({"/bin/sh", "-c", script}, {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  EXPECT_EQ(ended.exit_code, 7);
  EXPECT_THAT(ended.err, testing::StartsWith("heapster: subject"));
  EXPECT_THAT(ended.err, HasSubstr("before its exec: dash"));
  EXPECT_TRUE(fs::exists(sandbox_.path("100%p/o.heap")));
  EXPECT_TRUE(fs::exists(sandbox_.path("100%p/o.1.heap")));
  EXPECT_TRUE(fs::is_empty(sandbox_.path("100%p/inner")));
}

TEST_F(HeapsterRun, RunsOverAnotherAllocator) {
  for (const char* allocator : {"jemalloc", "mimalloc", "tcmalloc"}) {
    const Ended ended = run({"--allocator", allocator, "-o", std::string(allocator) + ".heap"}, {kSubject, "reallocs"});
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    const auto known = facts(ended.out);
    const auto snapshot = sandbox_.snapshots();
    ASSERT_FALSE(snapshot.empty());
    for (const auto& found : snapshot) {
      if (found.path.find(allocator) == std::string::npos) continue;
      EXPECT_THAT(found.snapshot.process.allocator, HasSubstr(allocator));
      for (const char* name :
           {"realloc_growth_count", "realloc_growth_sum", "realloc_move_sum", "realloc_same_count"}) {
        EXPECT_EQ(figure(found.snapshot, name), known.at(name)) << allocator << " " << name;
      }
    }
  }
}

TEST_F(HeapsterRun, PassesSignalsOn) {
  Background background(sandbox_, {heapster_path(), "run", "-q", kSubject, "stay"},
                        {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  background.send(SIGUSR1);
  EXPECT_TRUE(eventually([&] { return sandbox_.snapshots().size() == 1; })) << "a dump of the program";
  background.send(SIGTERM);
  EXPECT_EQ(background.line(), "") << "its end, before that of its input could be another reason";
  EXPECT_EQ(background.wait().exit_code, 128 + SIGTERM);
}

// All but the two that nobody can catch. Two (32, 33) are libc's own, which no program can handle but any can die of.
TEST_F(HeapsterRun, PassesEverySignalOn) {
  const std::string script =
      "use Config; $| = 1; my $n = 0; for my $name (split / /, $Config{sig_name}) { my $number = $n++; "
      "next if $number == 0 || $number > 64 || $name =~ /^(KILL|STOP|NUM32|NUM33)$/; "
      "$SIG{$name} = sub { syswrite STDOUT, \"$number\\n\" }; } print \"ready\\n\"; sleep 1 while 1;";
  Background background(sandbox_, {heapster_path(), "run", "-q", "perl", "-e", script},
                        {{"HEAPSTER_RUN_DIR", sandbox_.run_directory()}});
  ASSERT_EQ(background.line(), "ready");
  for (int number = 1; number <= 64; ++number) {
    if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;
    background.send(number);
    ASSERT_EQ(background.line(), std::to_string(number));
    if (number != SIGTSTP && number != SIGTTIN && number != SIGTTOU) continue;
    EXPECT_TRUE(eventually([&] { return process_state(background.pid()) == 'T'; })) << "stops as the program may";
    background.send(SIGCONT);
    ASSERT_EQ(background.line(), std::to_string(SIGCONT));
  }
  background.send(33);
  EXPECT_EQ(background.wait().exit_code, 128 + 33);
}

TEST_F(HeapsterRun, PassesTheChosenDumpSignalOn) {
  for (const auto& [name, number] : {std::pair{"RTMIN+3", SIGRTMIN + 3}, std::pair{"PROF", SIGPROF}}) {
    Sandbox apart;
    Background background(apart, {heapster_path(), "run", "-q", "--signal", name, kSubject, "stay"},
                          {{"HEAPSTER_RUN_DIR", apart.run_directory()}});
    ASSERT_EQ(background.line(), "ready");
    background.send(number);
    EXPECT_TRUE(eventually([&] { return apart.snapshots().size() == 1; })) << "a dump of the program";
    background.say("go on\n");
    EXPECT_EQ(background.wait().exit_code, 0);
  }
}

// A real terminal: Ctrl-C goes to the whole group; the program must get it once, and the report come.
TEST_F(HeapsterRun, SurvivesCtrlCAndReports) {
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid == 0) {
    setenv("HEAPSTER_RUN_DIR", sandbox_.run_directory().c_str(), 1);
    if (chdir(sandbox_.directory().c_str()) != 0) _exit(1);
    const std::string script =
        "trap 'echo got it; n=x$n' INT; echo ready; while :; do read line; "
        "test \"$n\" = x && exit 5; test -n \"$n\" && exit 6; done";
    execl(heapster_path().c_str(), "heapster", "run", "/bin/bash", "-c", script.c_str(), nullptr);
    _exit(127);
  }
  std::string seen;
  // A signal that comes when a shell is about to read is only looked at when a line has come.
  const auto nudge = [&] {
    pollfd waited = {terminal, POLLIN, 0};
    return poll(&waited, 1, 1000) != 0 || write(terminal, "\n", 1) == 1;
  };
  const auto read_until = [&](const std::string& text) {
    char byte;
    while (seen.find(text) == std::string::npos && nudge() && read(terminal, &byte, 1) == 1) seen += byte;
    return seen.find(text) != std::string::npos;
  };
  ASSERT_TRUE(read_until("ready"));
  ASSERT_EQ(write(terminal, "\x03", 1), 1);
  ASSERT_TRUE(read_until("got it"));
  ASSERT_EQ(write(terminal, "\n", 1), 1);
  EXPECT_TRUE(read_until("Allocations")) << seen;
  EXPECT_THAT(seen, HasSubstr("\x1b[")) << "colour on a terminal";
  while (read_until("no such text")) {
  }
  int status = 0;
  waitpid(pid, &status, 0);
  close(terminal);
  EXPECT_EQ(WEXITSTATUS(status), 5) << "the program got the signal other than once";
}

TEST_F(HeapsterRun, NeedsNoMoreThanTheScript) {
  const Ended ended = sandbox_.run({source_path("heapster-run.sh"), "--version"});
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_THAT(ended.out, testing::StartsWith("heapster "));
}

}  // namespace
}  // namespace heapster::test
