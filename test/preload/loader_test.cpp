// SPDX-License-Identifier: MIT
//
// Whatever the loader does around us: resolvers before our relocation, auditors, shims, other preloads.

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "support/numbers.h"
#include "support/run.h"

namespace heapster::test {
namespace {

const std::string kSubject = program_path("subject");

void expect_counted(const Sandbox& sandbox, const Ended& ended) {
  ASSERT_EQ(ended.exit_code, 7) << "signal " << ended.signal << ", " << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_GE(allocated_in_bucket_of(sandbox.snapshot(), 100), 1000);
}

// The resolver's own blocks come from our arena, and are counted and freed like any other.
TEST(Loader, ResolversMayAllocateBeforeOurRelocation) {
  Sandbox sandbox;
  for (const char* binding : {"", "1"}) {
    ASSERT_EQ(sandbox.run({program_path("ifunc")}, {{"LD_BIND_NOW", binding}}).exit_code, 7) << "bare";
    const Ended ended = sandbox.run_measured({program_path("ifunc")}, {{"LD_BIND_NOW", binding}});
    ASSERT_EQ(ended.exit_code, 7) << "signal " << ended.signal << ", " << ended.err;
    EXPECT_EQ(ended.err, "");
  }
  for (const auto& [path, snapshot] : sandbox.snapshots()) {
    EXPECT_EQ(allocated_in_bucket_of(snapshot, 3000), 1000);
    EXPECT_TRUE(has_note(snapshot, "arena_used"));
    EXPECT_LT(figure(snapshot, "live_count"), 1000 + 10);
    EXPECT_GE(figure(snapshot, "live_count"), 1000);
  }
}

TEST(Loader, MayBindAtOnceOrBeAudited) {
  for (const Variables& variables :
       {Variables{{"LD_BIND_NOW", "1"}}, Variables{{"LD_AUDIT", program_path("libaudit.so")}}}) {
    Sandbox sandbox;
    expect_counted(sandbox, sandbox.run_measured({kSubject, "return"}, variables));
  }
}

TEST(Loader, AStormOfPluginsThatThrowHarmsNothing) {
  Sandbox sandbox;
  const Ended ended = sandbox.run_measured({kSubject, "dlopen-storm", program_path("libthrowing_plugin.so")});
  ASSERT_EQ(ended.exit_code, 0) << "signal " << ended.signal << ", " << ended.err;
  const auto snapshot = sandbox.snapshot();
  EXPECT_GE(allocated_in_bucket_of(snapshot, 200), 800 * 10);
  EXPECT_LT(figure(snapshot, "live_count"), 1000) << "what plug-ins allocated, their destructors freed";
}

class Stacked : public testing::TestWithParam<std::string> {};

TEST_P(Stacked, PreloadsWorkBeforeAndAfterUs) {
  const std::string other = GetParam()[0] == '/' ? GetParam() : program_path(GetParam());
  ASSERT_TRUE(std::filesystem::exists(other)) << other;
  for (const bool first : {false, true}) {
    Sandbox sandbox;
    const std::string both = first ? other + ":" + preload_path() : preload_path() + ":" + other;
    expect_counted(sandbox, sandbox.run_measured({kSubject, "return"}, {{"LD_PRELOAD", both}, {"FAKETIME", "-1d"}}));
  }
}

const std::string kLibraries = HEAPSTER_DEBIAN_LIBRARIES;
INSTANTIATE_TEST_SUITE_P(Every, Stacked,
                         testing::Values("libdlsym_shim.so", kLibraries + "/libeatmydata.so",
                                         kLibraries + "/faketime/libfaketime.so.1",
                                         kLibraries + "/libfakeroot/libfakeroot-sysv.so"),
                         [](const auto& test) {
                           std::string name = std::filesystem::path(test.param).stem().stem();
                           std::erase_if(name, [](char letter) { return std::isalnum(letter) == 0; });
                           return name;
                         });

// glibc's debugging library exports malloc under an old version alone, which programs are bound to, and dlsym passes
// over. Its checks run behind us as they do without us.
TEST(DebuggingLibrary, ChecksBehindUs) {
  const std::string library = kLibraries + "/libc_malloc_debug.so.0";
  for (const Words& command : {Words{kSubject, "overrun"}, Words{program_path("mchecked")}}) {
    Variables variables = {{"LD_PRELOAD", library}};
    if (command.size() > 1) variables["MALLOC_CHECK_"] = "3";
    Sandbox sandbox;
    const Ended bare = sandbox.run(command, variables);
    variables["LD_PRELOAD"] = preload_path() + ":" + library;
    const Ended ended = sandbox.run_measured(command, variables);
    EXPECT_TRUE(bare.signal == SIGABRT || bare.exit_code == 7) << bare.exit_code << bare.out;
    EXPECT_EQ(ended.exit_code, bare.exit_code);
    EXPECT_EQ(ended.signal, bare.signal);
    EXPECT_EQ(ended.out, bare.out);
    if (bare.signal != 0) continue;
    const auto snapshot = sandbox.snapshot();
    EXPECT_EQ(std::filesystem::path(snapshot.process.allocator).filename(), "libc_malloc_debug.so.0");
    EXPECT_EQ(allocated_in_bucket_of(snapshot, 3000), 100);
    EXPECT_EQ(coverage(snapshot).verdict, "full");
  }
}

TEST(DebuggingLibrary, BeforeUsTakesAllCalls) {
  Sandbox sandbox;
  const std::string both = kLibraries + "/libc_malloc_debug.so.0:" + preload_path();
  ASSERT_EQ(sandbox.run_measured({kSubject, "return"}, {{"LD_PRELOAD", both}}).exit_code, 7);
  EXPECT_EQ(coverage(sandbox.snapshot()).verdict, "none");
}

TEST(Loader, FakerootsOwnPreloadStaysWithUs) {
  Sandbox sandbox;
  const std::string script =
      "chown 12:34 file && stat -c %u:%g file && LD_PRELOAD=" + preload_path() + ":$LD_PRELOAD stat -c %u:%g file";
  std::filesystem::create_directory(sandbox.path("file"));
  const Ended ended = sandbox.run({"fakeroot", "sh", "-c", script}, {{"HEAPSTER_RUN_DIR", sandbox.run_directory()}});
  EXPECT_EQ(ended.out, "12:34\n12:34\n") << ended.err;
}

}  // namespace
}  // namespace heapster::test
