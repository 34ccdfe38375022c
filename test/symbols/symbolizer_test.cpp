// SPDX-License-Identifier: MIT
//
// A real program, built in each way that compilers have, and then stripped, moved, exchanged for another and lost.

#include "symbols/symbolizer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "little_memory.h"
#include "living.h"
#include "program.h"
#include "synthetic.h"

namespace heapster::symbols {
namespace {

namespace fs = std::filesystem;

using reader::Location;
using reader::Locations;

void must(const std::string& line) {
  const test::Ran ran = test::run_shell(line);
  ASSERT_EQ(ran.code, 0) << line << "\n" << ran.err;
}

uint32_t line_of(const std::string& word) {
  std::ifstream file(SUBJECT);
  std::string line;
  for (uint32_t number = 1; std::getline(file, line); ++number)
    if (line.ends_with("// line: " + word)) return number;
  return 0;
}

constexpr uint64_t kBias = 0x555555554000;

// The program, and a snapshot of one stack through its four calls.
class Subject {
 public:
  explicit Subject(const std::string& compiler) {
    must(compiler + " -O2 -fPIE -pie -Wl,--build-id=sha1 " SUBJECT " -o " + path());
    std::istringstream told(test::run_shell(path()).out);
    stacks_.modules.push_back({kBias, kBias + 0x100000, kBias, build_id_of(path()), path()});
    for (uint64_t address; told >> std::hex >> address;) stacks_.stacks.emplace_back().frames = {{address + kBias, 0}};
  }

  std::string path() const { return place_.path() + "/subject"; }
  std::string place() const { return place_.path(); }
  reader::Module& module() { return stacks_.modules[0]; }
  const reader::Stacks& stacks() const { return stacks_; }

  Locations at(const reader::Names& names, size_t call) const { return names.of(stacks_.stacks.at(call).frames[0]); }
  Locations at(const Options& options, size_t call) const {
    Symbolizer symbolizer(options);
    return at(symbolizer.names(stacks_), call);
  }
  std::string troubles(const Options& options = {}) const {
    Symbolizer symbolizer(options);
    symbolizer.names(stacks_);
    std::string lines;
    for (const std::string& trouble : symbolizer.troubles()) lines += trouble + "\n";
    return lines;
  }

  // Takes the debug information out of the file and puts it where distributions put it.
  void separate(const std::string& directory) {
    const std::string id = module().build_id;
    fs::create_directories(directory + "/.build-id/" + id.substr(0, 2));
    must("objcopy --only-keep-debug " + path() + " " + directory + "/.build-id/" + id.substr(0, 2) + "/" +
         id.substr(2) + ".debug");
    must("strip " + path());
  }

 private:
  test::RunDirectory place_;
  reader::Stacks stacks_;
};

const Locations kInlined{{"shop::shelf(int)", SUBJECT, line_of("shelf")},
                         {"shop::aisle()", SUBJECT, line_of("aisle")},
                         {"shop::Basket::fill(int)", SUBJECT, line_of("fill")}};

std::string place_of(const Subject& subject, size_t call) {
  return reader::place_text(subject.stacks(), subject.stacks().stacks.at(call).frames[0]);
}

class SymbolizerBuilds : public testing::TestWithParam<const char*> {};

TEST_P(SymbolizerBuilds, InlinedFunctionsFilesAndLines) {
  const Subject subject(GetParam());
  ASSERT_EQ(subject.stacks().stacks.size(), 5u);
  EXPECT_EQ(subject.at(Options{}, 0), kInlined);
  EXPECT_EQ(subject.at(Options{}, 1), (Locations{{"plain", SUBJECT, line_of("plain")}}));
  EXPECT_EQ(subject.at(Options{}, 2).at(0).function, "shop::older");
  EXPECT_EQ(subject.at(Options{}, 3).at(0).function, "shop::newer");
  EXPECT_TRUE(subject.at(Options{}, 4).at(0).function.str().starts_with("(anonymous namespace)::Till::count"));
  EXPECT_EQ(subject.troubles(), "");
}

INSTANTIATE_TEST_SUITE_P(Compilers, SymbolizerBuilds,
                         testing::Values("g++ -gdwarf-5", "g++ -gdwarf-4", "g++ -g -fno-omit-frame-pointer -gz",
                                         "clang++-14 -g"));

TEST(Symbolizer, WithoutDebugInformationTheTablesOfTheFileTell) {
  const Subject subject("g++");
  EXPECT_EQ(subject.at(Options{}, 0), (Locations{{"shop::Basket::fill(int)", ""}}));
  EXPECT_EQ(subject.at(Options{}, 3), (Locations{{"shop::newer", ""}}));
}

TEST(Symbolizer, ExportedNamesStayInAStrippedFile) {
  const Subject subject("g++ -rdynamic");
  must("strip " + subject.path());
  EXPECT_EQ(subject.at(Options{}, 1), (Locations{{"plain", ""}}));
}

TEST(Symbolizer, AStrippedFileHasPlaces) {
  const Subject subject("g++ -g");
  must("strip " + subject.path());
  EXPECT_EQ(subject.at(Options{}, 1), (Locations{{place_of(subject, 1), "", 0, false}}));
  EXPECT_TRUE(place_of(subject, 1).starts_with("subject+0x"));
}

TEST(Symbolizer, DebugFilesAreFoundByBuildId) {
  Subject subject("g++ -g");
  const std::string debug = subject.place() + "/debug";
  subject.separate(debug);
  const Options options{.places = {.sysroot = "", .directories = {debug}}};
  EXPECT_EQ(subject.at(options, 0), kInlined);
  fs::remove(subject.path());
  EXPECT_EQ(subject.at(options, 0), kInlined) << "the debug file alone will do";
}

TEST(Symbolizer, PathsAreThoseOfTheOtherMachine) {
  Subject subject("g++ -g");
  fs::create_directories(subject.place() + "/root/opt");
  fs::rename(subject.path(), subject.place() + "/root/opt/app");
  subject.module().path = "/opt/app";
  EXPECT_EQ(subject.at(Options{.places = {.sysroot = subject.place() + "/root", .directories = {}}}, 0), kInlined);
  EXPECT_EQ(subject.troubles(), "/opt/app: no such object here\n");
  // And its debug files lie below its root, too.
  fs::create_directories(subject.place() + "/root/usr/lib");
  fs::copy_file(subject.place() + "/root/opt/app", subject.path());
  subject.separate(subject.place() + "/root/usr/lib/debug");
  fs::rename(subject.path(), subject.place() + "/root/opt/app");
  EXPECT_EQ(subject.at(Options{.places = {.sysroot = subject.place() + "/root", .directories = {}}}, 0), kInlined);
}

TEST(Symbolizer, AnotherBuildIsNoSource) {
  Subject subject("g++ -g");
  subject.module().build_id[3] ^= 1;
  EXPECT_FALSE(subject.at(Options{}, 0).at(0).known);
  EXPECT_EQ(subject.troubles(), subject.path() + ": is another build than the one that was measured\n");
  subject.module().build_id.clear();
  EXPECT_EQ(subject.at(Options{}, 0), kInlined) << "without a build id the path has to do";
}

TEST(Symbolizer, WhatIsNoObjectHereIsAPlace) {
  Subject subject("g++ -g");
  const std::string pipe = subject.place() + "/pipe";
  must("mkfifo " + pipe);
  for (const std::string& path : {std::string("/nowhere/at/all"), pipe, subject.place(), std::string("/dev/null"),
                                  std::string("cut/off/at/its/front"), std::string()}) {
    subject.module().path = path;
    EXPECT_FALSE(subject.at(Options{}, 0).at(0).known) << path;
  }
  subject.module().path = "linux-vdso.so.1";
  EXPECT_EQ(subject.troubles(), "") << "the kernel's own object has no file";
}

TEST(Symbolizer, TheCacheTellsWithoutTheFile) {
  const Subject subject("g++ -g");
  const Options options{.cache = subject.place() + "/cache"};
  EXPECT_EQ(subject.at(options, 0), kInlined);
  fs::remove(subject.path());
  EXPECT_EQ(subject.at(options, 0), kInlined);
  EXPECT_EQ(subject.troubles(options), "");
  EXPECT_FALSE(subject.at(Options{}, 0).at(0).known);
}

TEST(Symbolizer, TheCacheDoesNotKeepPoorNames) {
  Subject subject("g++ -g -rdynamic");
  const std::string debug = subject.place() + "/debug";
  subject.separate(debug);
  const std::string cache = subject.place() + "/cache";
  EXPECT_EQ(subject.at(Options{.cache = cache}, 0), (Locations{{"shop::Basket::fill(int)", ""}}));
  EXPECT_EQ(subject.at(Options{.places = {.sysroot = "", .directories = {debug}}, .cache = cache}, 0), kInlined);
}

// A search through a large table for each address would make the second look as slow as the first.
TEST(Symbolizer, TheCacheTellsWhatATableSaid) {
  const Subject subject("g++ -rdynamic");
  const Options options{.cache = subject.place() + "/cache"};
  const Locations name{{"shop::Basket::fill(int)", ""}};
  EXPECT_EQ(subject.at(options, 0), name);
  for (const auto& kept : fs::directory_iterator(options.cache))
    must("sed -i s/Basket/Trolley/ " + kept.path().string());
  EXPECT_EQ(subject.at(options, 0), (Locations{{"shop::Trolley::fill(int)", ""}}));
  EXPECT_EQ(subject.at(Options{}, 0), name);
  must("strip --strip-all " + subject.path());
  EXPECT_EQ(subject.at(options, 0), name) << "another table";
}

// Anybody may build an object with another one's build id.
TEST(Symbolizer, TheCacheKeepsNothingThatAnotherUserWrote) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const Subject subject("g++ -g");
  const Options options{.cache = subject.place() + "/cache"};
  ASSERT_EQ(chown(subject.path().c_str(), 65534, 65534), 0);
  EXPECT_EQ(subject.at(options, 0), kInlined);
  EXPECT_TRUE(!fs::exists(options.cache) || fs::is_empty(options.cache));
  ASSERT_EQ(chown(subject.path().c_str(), 0, 0), 0);
  EXPECT_EQ(subject.at(options, 0), kInlined);
  EXPECT_FALSE(fs::is_empty(options.cache));
}

TEST(Symbolizer, ProgressIsToldObjectByObject) {
  const Subject subject("g++ -g");
  std::string told;
  subject.at(Options{.progress =
                         [&](const std::string& object, size_t done, size_t all) {
                           told += object + " " + std::to_string(done) + "/" + std::to_string(all) + "\n";
                         }},
             0);
  EXPECT_EQ(told, "subject 0/1\n");
}

TEST(Symbolizer, TwoSnapshotsOfOneBuildGetOneSetOfNames) {
  Subject subject("g++ -g");
  reader::Stacks later = subject.stacks();
  later.modules[0].path = "/nowhere";
  later.modules[0].bias += 0x1000;
  for (reader::Stack& stack : later.stacks) stack.frames[0].address += 0x1000;
  Symbolizer symbolizer({});
  symbolizer.names(subject.stacks());
  EXPECT_EQ(symbolizer.names(later).of(later.stacks[0].frames[0]), kInlined);
}

// Serves a directory's files, and is gone with this.
class FileServer {
 public:
  explicit FileServer(const std::string& directory) {
    int ends[2];
    if (pipe(ends) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
      execl("/usr/bin/python3", "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory",
            directory.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    char said[256] = {};
    EXPECT_GT(read(ends[0], said, sizeof said - 1), 0) << "it says where it is";
    close(ends[0]);
    const std::string line = said;
    const size_t begin = line.find("http://");
    if (begin != std::string::npos) url_ = line.substr(begin, line.find('/', begin + 7) + 1 - begin);
  }
  ~FileServer() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;
  const std::string& url() const { return url_; }

 private:
  pid_t pid_ = -1;
  std::string url_;
};

// First the program is stripped, then it is not even on this machine: all there is of it is its build id.
TEST(Symbolizer, AServerTellsWhatIsNotHere) {
  Subject subject("g++ -g");
  const std::string served = subject.place() + "/served", build = served + "/buildid/" + subject.module().build_id;
  fs::create_directories(build);
  must("objcopy --only-keep-debug " + subject.path() + " " + build + "/debuginfo");
  must("strip " + subject.path());
  EXPECT_NE(subject.at(Options{}, 0), kInlined) << "nobody else knows";
  const FileServer server(served);
  setenv("DEBUGINFOD_URLS", server.url().c_str(), 1);
  setenv("DEBUGINFOD_CACHE_PATH", (subject.place() + "/of-one").c_str(), 1);
  EXPECT_EQ(subject.at(Options{}, 0), kInlined);
  fs::rename(subject.path(), build + "/executable");
  setenv("DEBUGINFOD_CACHE_PATH", (subject.place() + "/of-both").c_str(), 1);
  EXPECT_EQ(subject.at(Options{}, 0), kInlined);
  EXPECT_EQ(subject.troubles(), "");
}

// A file that names its debug file, as objcopy makes it; without a build id the name has to do.
void link_debug_file(const Subject& subject, const std::string& name) {
  must("cd " + subject.place() + " && objcopy --only-keep-debug subject " + name + " && strip subject && " +
       "objcopy --add-gnu-debuglink=" + name + " subject");
}

TEST(Symbolizer, DebugFilesAreFoundByTheirName) {
  for (const bool has_id : {true, false}) {
    Subject subject("g++ -g");
    if (!has_id) must("objcopy --remove-section=.note.gnu.build-id " + subject.path());
    if (!has_id) subject.module().build_id.clear();
    link_debug_file(subject, "apart");
    EXPECT_EQ(subject.at(Options{}, 0), kInlined);
    fs::create_directory(subject.place() + "/.debug");
    fs::rename(subject.place() + "/apart", subject.place() + "/.debug/apart");
    EXPECT_EQ(subject.at(Options{}, 0), kInlined);
    const std::string there = subject.place() + "/debug" + subject.place();
    fs::create_directories(there);
    fs::rename(subject.place() + "/.debug/apart", there + "/apart");
    EXPECT_EQ(subject.at(Options{.places = {.sysroot = "", .directories = {subject.place() + "/debug"}}}, 0), kInlined);
    must("printf more >>" + there + "/apart");
    const Locations found =
        subject.at(Options{.places = {.sysroot = "", .directories = {subject.place() + "/debug"}}}, 0);
    EXPECT_EQ(found == kInlined, has_id) << "without a build id, another file of that name is told by its sum";
  }
}

// Says whether a file was opened since this was made.
class OpenWatch {
 public:
  explicit OpenWatch(const std::string& path) : descriptor_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    EXPECT_GE(inotify_add_watch(descriptor_, path.c_str(), IN_OPEN), 0);
  }
  ~OpenWatch() { close(descriptor_); }
  OpenWatch(const OpenWatch&) = delete;
  bool opened() const {
    char events[1024];
    return read(descriptor_, events, sizeof events) > 0;
  }

 private:
  int descriptor_;
};

// Opening a FIFO waits for ever, or lets somebody else go on who waits; opening a device may do anything.
TEST(Symbolizer, NothingButRegularFilesIsOpened) {
  Subject subject("g++ -g");
  link_debug_file(subject, "apart");
  const std::string pipe = subject.place() + "/apart";
  fs::remove(pipe);
  must("mkfifo " + pipe);
  const OpenWatch watch(pipe);
  EXPECT_FALSE(subject.at(Options{}, 0).at(0).known) << "as debug file";
  fs::create_directories(subject.place() + "/debug/.build-id/" + subject.module().build_id.substr(0, 2));
  fs::create_symlink(pipe, subject.place() + "/debug/.build-id/" + subject.module().build_id.substr(0, 2) + "/" +
                               subject.module().build_id.substr(2) + ".debug");
  EXPECT_FALSE(subject.at(Options{.places = {.sysroot = "", .directories = {subject.place() + "/debug"}}}, 0)[0].known);
  subject.module().path = pipe;
  EXPECT_FALSE(subject.at(Options{}, 0).at(0).known) << "as object";
  EXPECT_FALSE(watch.opened());
}

// 265 characters that stand for gigabytes.
std::string endless_name() {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string name = "_Z1fSt4pairIiiE", last = "S_";
  for (int i = 0; i < 25; ++i) {
    name += "S_I" + last + last + "E";
    last = std::string("S") + kDigits[static_cast<size_t>(i)] + "_";
  }
  return name;
}

// What looking the names up took at most, in bytes.
size_t memory_of(const Subject& subject, const Options& options) {
  const test::Ran ran = [&] {
    const std::string told = subject.place() + "/told";
    const pid_t pid = fork();
    if (pid == 0) {
      subject.troubles(options);
      rusage usage{};
      getrusage(RUSAGE_CHILDREN, &usage);
      std::ofstream(told) << usage.ru_maxrss;
      _exit(0);
    }
    waitpid(pid, nullptr, 0);
    return test::run_shell("cat " + told);
  }();
  return std::stoul(ran.out) * 1024;
}

constexpr Limits kLittle{.bytes = 64 << 20, .seconds = 60, .said = 1 << 20};

TEST(Symbolizer, ANameWithoutEndTakesNoMoreThanItMay) {
  Subject subject("g++");
  must("objcopy --redefine-sym plain=" + endless_name() + " " + subject.path());
  EXPECT_EQ(subject.at(Options{.limits = kLittle}, 0).at(0).function.str(), "shop::Basket::fill(int)");
  EXPECT_NE(subject.at(Options{.limits = kLittle}, 1).at(0).function.str(), "plain");
  EXPECT_LT(memory_of(subject, Options{.limits = kLittle}), 192u << 20);
}

TEST(Symbolizer, WhatUnfoldsToTooMuchIsNotUnfolded) {
  if (test::kSanitized) GTEST_SKIP();
  const Subject subject("g++ -g");
  must("cd " + subject.place() + " && truncate -s 256M zeros && objcopy --update-section .debug_str=zeros subject && " +
       "objcopy --compress-debug-sections=zlib subject && rm zeros");
  ASSERT_LT(fs::file_size(subject.path()), 2u << 20);
  EXPECT_EQ(subject.at(Options{.limits = kLittle}, 0).at(0).function.str(), "shop::Basket::fill(int)");
  EXPECT_LT(memory_of(subject, Options{.limits = kLittle}), 192u << 20);
}

TEST(Symbolizer, ADeadHelperCostsTheNamesOfOneObject) {
  Subject subject("g++ -g");
  reader::Stacks stacks = subject.stacks();
  reader::Module& lost = stacks.modules.emplace_back(stacks.modules[0]);
  lost.path = subject.place() + "/large";
  lost.build_id.clear();
  lost.bias += 1 << 30;
  for (size_t i = 0; i < 100'000; ++i) stacks.stacks.emplace_back().frames = {{lost.bias + 16 + i * 16, 1}};
  fs::copy_file(subject.path(), lost.path);
  Symbolizer symbolizer({.limits = {.bytes = 64 << 20, .seconds = 60, .said = 256 * 1024}});
  const reader::Names names = symbolizer.names(stacks);
  EXPECT_EQ(subject.at(names, 0), kInlined);
  ASSERT_EQ(symbolizer.troubles().size(), 2u);
  EXPECT_EQ(symbolizer.troubles().back(), lost.path + ": its names take more room than they may");
}

// A server that takes connections and never answers. One object costs the patience for one request, no more.
TEST(Symbolizer, AServerThatIsSilentIsAskedOnce) {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(server, 16), 0);
  getsockname(server, reinterpret_cast<sockaddr*>(&address), &size);
  Subject subject("g++");
  setenv("DEBUGINFOD_URLS", ("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/").c_str(), 1);
  setenv("DEBUGINFOD_TIMEOUT", "1", 1);
  setenv("DEBUGINFOD_CACHE_PATH", (subject.place() + "/servers").c_str(), 1);
  subject.module().path = "/nowhere";
  EXPECT_FALSE(subject.at(Options{}, 0).at(0).known);
  EXPECT_GE(accept(server, nullptr, nullptr), 0) << "it was asked";
  EXPECT_EQ(std::getenv("DEBUGINFOD_URLS"), nullptr) << "and will not be asked again";
  close(server);
}

}  // namespace
}  // namespace heapster::symbols
