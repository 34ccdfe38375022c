// SPDX-License-Identifier: MIT
//
// Under limits, in sandboxes and where things are missing, a program with us does what it does without:
// the same output, the same errors, the same end.

#include <gtest/gtest.h>
#include <unistd.h>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

// HEAPSTER_STACKS; none: nothing is sampled.
constexpr const char* kMeans[] = {"", "1", "16K"};

// "$@" is the program; the preload comes in with it, as it would in a service's unit, not with the shell.
struct Circumstance {
  const char* name;
  const char* script;
  const char* scenario;
  bool namespaces = false;  // needs a mount namespace of its own
};

Ended run_in(const Sandbox& sandbox, const Circumstance& where, bool measured, const char* mean = "") {
  Variables variables = {{"HEAPSTER_SIGNAL", "none"}, {"HEAPSTER_STACKS", mean}};
  variables.merge(sandbox.measured());
  const std::string preload = measured ? "LD_PRELOAD=" + preload_path() : "NOTHING=0";
  variables.erase("LD_PRELOAD");
  variables["EMPTY"] = sandbox.run_directory();
  variables["LYING"] = program_path("lying_kernel");
  Words command;
  if (where.namespaces) command = {"unshare", geteuid() == 0 ? "-m" : "-rm"};
  for (const char* word : {"/bin/sh", "-c", where.script, "sh", "/usr/bin/env"}) command.emplace_back(word);
  command.push_back(preload);
  for (const char* word : {kSubject.c_str(), where.scenario}) command.emplace_back(word);
  if (std::string(where.scenario) == "in-chroot") command.push_back(sandbox.run_directory());
  return sandbox.run(command, variables);
}

class Unharmed : public testing::TestWithParam<Circumstance> {};

TEST_P(Unharmed, RunsAsWithoutUs) {
  Sandbox sandbox;
  const Ended bare = run_in(sandbox, GetParam(), false);
  EXPECT_EQ(bare.exit_code, 7) << bare.err;
  for (const char* mean : kMeans) {
    const Ended measured = run_in(sandbox, GetParam(), true, mean);
    EXPECT_EQ(measured.exit_code, bare.exit_code) << "stacks: " << mean << ", signal " << measured.signal;
    EXPECT_EQ(measured.out, bare.out) << mean;
    EXPECT_EQ(measured.err, bare.err) << mean;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Every, Unharmed,
    testing::Values(
        Circumstance{"Nothing", R"(exec "$@")", "modest"},
        Circumstance{"LittleAddressSpace", R"(ulimit -v 24000; exec "$@")", "modest"},
        Circumstance{"KeysOfThreads", R"(exec "$@")", "keys"},
        Circumstance{"SmallFiles", R"(ulimit -f 8; exec "$@")", "modest"},
        Circumstance{"FourDescriptors", R"(ulimit -n 4; exec "$@")", "modest"},
        Circumstance{"NoDescriptorsLater", R"(exec "$@")", "without-descriptors"},
        Circumstance{"LittleStack", R"(ulimit -s 128; exec "$@")", "modest"},
        Circumstance{"UnlimitedStack", R"(ulimit -s unlimited; exec "$@")", "modest"},
        Circumstance{"HugeStack", R"(ulimit -s 1000000000000; exec "$@")", "modest"},
        Circumstance{"OldLayout", R"(exec setarch -L "$@")", "modest"},
        Circumstance{"FixedLayout", R"(exec setarch -R "$@")", "modest"},
        Circumstance{"OldFixedLayout", R"(exec setarch -L -R "$@")", "modest"},
        Circumstance{"ReadableIsExecutable", R"(exec setarch -X "$@")", "modest"},
        Circumstance{"ClosedStandardFiles", R"(exec "$@" <&- 2>&-)", "modest"},
        Circumstance{"Locked", R"(exec "$@")", "locked"},
        Circumstance{"LockedWithinLimit",
                     R"(ulimit -l 65536; exec setpriv --inh-caps -ipc_lock --bounding-set -ipc_lock "$@")", "locked"},
        Circumstance{"NoLockedMemory",
                     R"(ulimit -l 64; exec setpriv --inh-caps -ipc_lock --bounding-set -ipc_lock "$@")", "locked"},
        Circumstance{"Chroot", R"(exec "$@")", "in-chroot"},
        Circumstance{"UserNamespace", R"(exec "$@")", "user-namespace"},
        Circumstance{"TinyTmpfs", R"(mount -t tmpfs -o size=16k,mode=0700 none "$EMPTY" && exec "$@")", "modest", true},
        Circumstance{"LockedOnATinyTmpfs", R"(mount -t tmpfs -o size=16k,mode=0700 none "$EMPTY" && exec "$@")",
                     "locked", true},
        Circumstance{"ReadOnlyTmpfs", R"(mount -t tmpfs -o ro none "$EMPTY" && exec "$@")", "modest", true},
        Circumstance{"NoTmpfs", R"(mount -t tmpfs none /dev/shm && export HEAPSTER_RUN_DIR=/dev/shm/a/b; exec "$@")",
                     "modest", true},
        Circumstance{"ReadOnlyRoot",
                     R"(mount --rbind / /mnt && mount -o remount,bind,ro /mnt && exec chroot /mnt "$@")", "modest",
                     true},
        Circumstance{"LyingKernel", R"(exec "$LYING" "$@")", "modest"},
        Circumstance{"LyingKernelOnATinyTmpfs",
                     R"(mount -t tmpfs -o size=16k,mode=0700 none "$EMPTY" && exec "$LYING" "$@")", "modest", true},
        Circumstance{"LyingKernelAndNoTmpfs", R"(export HEAPSTER_RUN_DIR=/nowhere; exec "$LYING" "$@")", "modest"},
#if defined(__x86_64__)
        Circumstance{"MisalignedStack", R"(exec "$@")", "on-a-misaligned-stack"},
        Circumstance{"MisalignedStackAtALimit", R"(export HEAPSTER_LIMIT=64K; exec "$@")", "on-a-misaligned-stack"},
#endif
        Circumstance{"NoProc", R"(mount -t tmpfs none /proc && exec "$@")", "modest", true}),
    [](const auto& test) { return std::string(test.param.name); });

// Descriptors, threads, signals, environment, limits, stacks, name, errno and dlerror at the start of main.
TEST(Unchanged, IsAllThatAProgramCanSeeOfItself) {
  Sandbox sandbox;
  for (const char* mean : kMeans) {
    Variables variables = sandbox.measured();
    variables["HEAPSTER_SIGNAL"] = "none";
    variables["HEAPSTER_STACKS"] = mean;
    const Ended measured = sandbox.run({kSubject, "state"}, variables);
    variables.erase("LD_PRELOAD");
    const Ended bare = sandbox.run({kSubject, "state"}, variables);
    EXPECT_EQ(bare.exit_code, 7);
    EXPECT_GT(bare.out.size(), 200u);
    EXPECT_EQ(measured.out, bare.out) << mean;
    EXPECT_EQ(measured.err, bare.err) << mean;
  }
}

// Our handler is there, and whoever asks is told the default; what the program sets is in force.
TEST(Unchanged, IsTheActionOfTheDumpSignalToWhoeverAsks) {
  const Sandbox sandbox;
  const Ended bare = sandbox.run({kSubject, "signals"});
  const Ended measured = sandbox.run_measured({kSubject, "signals"});
  EXPECT_EQ(bare.exit_code, 7);
  EXPECT_NE(bare.out.find("\nsigset: default, own, default\n10\n"), std::string::npos) << bare.out;
  EXPECT_EQ(measured.exit_code, bare.exit_code);
  EXPECT_EQ(measured.out, bare.out);
  EXPECT_EQ(measured.err, bare.err);
}

}  // namespace
}  // namespace heapster::test
