// SPDX-License-Identifier: MIT

#include "support/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "reader/load.h"

extern char** environ;

namespace heapster::test {

namespace {

constexpr auto kPatience = std::chrono::seconds(60);

std::string make_directory(const std::string& pattern) {
  std::string path = pattern + "XXXXXX";
  if (mkdtemp(path.data()) == nullptr) ADD_FAILURE() << pattern << ": " << std::strerror(errno);
  return path;
}

// Ours without what steers a preload, with these instead, and with the directory as PWD.
std::vector<std::string> environment_with(const std::string& directory, const Variables& variables) {
  std::vector<std::string> environment = {"PWD=" + directory};
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string assignment = *at;
    const std::string name = assignment.substr(0, assignment.find('='));
    if (name == "PWD" || name == "LD_PRELOAD" || name.starts_with("HEAPSTER_") || variables.contains(name)) continue;
    environment.push_back(assignment);
  }
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  return environment;
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Forks and execs with these descriptors as 0, 1 and 2 (-1: as ours).
pid_t start(const std::string& directory, const Words& command, const Variables& variables, int in, int out, int err) {
  const std::vector<std::string> environment = environment_with(directory, variables);
  const std::vector<char*> arguments = pointers_to(command);
  const std::vector<char*> assignments = pointers_to(environment);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  if (in >= 0) dup2(in, 0);
  if (out >= 0) dup2(out, 1);
  if (err >= 0) dup2(err, 2);
  close_range(3, ~0U, 0);
  if (chdir(directory.c_str()) == 0) execvpe(arguments[0], arguments.data(), assignments.data());
  std::perror(arguments[0]);
  _exit(127);
}

Ended ended_of(int status) {
  Ended ended;
  if (WIFEXITED(status)) ended.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
  return ended;
}

int open_new(const std::string& path) { return open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); }

}  // namespace

Sandbox::Sandbox()
    : directory_(make_directory("/tmp/heapster-test-")), run_directory_(make_directory("/dev/shm/heapster-test-")) {}

Sandbox::~Sandbox() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  std::filesystem::remove_all(run_directory_, ignored);
}

std::string Sandbox::copy_of(const std::string& file) const {
  const std::filesystem::path copy = path(std::filesystem::path(file).filename());
  std::filesystem::copy_file(file, copy, std::filesystem::copy_options::skip_existing);
  std::filesystem::permissions(copy, std::filesystem::perms(0755));
  return copy;
}

Variables Sandbox::measured() const { return {{"LD_PRELOAD", preload_path()}, {"HEAPSTER_RUN_DIR", run_directory_}}; }

Ended Sandbox::run(const Words& command, const Variables& variables, const std::string& input) const {
  const std::string in = path(".in"), out = path(".out"), err = path(".err");
  std::ofstream(in, std::ios::binary) << input;
  const int files[] = {open(in.c_str(), O_RDONLY | O_CLOEXEC), open_new(out), open_new(err)};
  const pid_t pid = start(directory_, command, variables, files[0], files[1], files[2]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  for (int file : files) close(file);
  Ended ended = ended_of(status);
  ended.out = read_file(out);
  ended.err = read_file(err);
  return ended;
}

Ended Sandbox::run_measured(const Words& command, Variables more, const std::string& input) const {
  more.merge(measured());
  return run(command, more, input);
}

std::vector<reader::Found> Sandbox::snapshots() const {
  std::vector<reader::Found> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    if (entry.path().extension() != ".heap" || !entry.is_regular_file()) continue;
    auto snapshot = reader::load(entry.path());
    if (!snapshot) ADD_FAILURE() << snapshot.error().text;
    if (snapshot) found.push_back({entry.path(), *snapshot});
  }
  std::sort(found.begin(), found.end(), [](const reader::Found& a, const reader::Found& b) { return a.path < b.path; });
  return found;
}

reader::Snapshot Sandbox::snapshot() const {
  const auto found = snapshots();
  EXPECT_EQ(found.size(), 1u) << "snapshots in the working directory";
  return found.empty() ? reader::Snapshot{} : found.front().snapshot;
}

Background::Background(const Sandbox& sandbox, const Words& command, const Variables& variables) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) ADD_FAILURE() << "no pipes";
  pid_ = start(sandbox.directory(), command, variables, in[0], out[1], -1);
  close(in[0]);
  close(out[1]);
  input_ = in[1];
  output_ = out[0];
}

Background::~Background() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (input_ >= 0) close(input_);
  close(output_);
}

std::string Background::line() {
  for (;;) {
    if (const size_t end = read_.find('\n'); end != std::string::npos) {
      std::string first = read_.substr(0, end);
      read_.erase(0, end + 1);
      return first;
    }
    char bytes[4096];
    const ssize_t size = read(output_, bytes, sizeof bytes);
    if (size <= 0 && !(size < 0 && errno == EINTR)) return std::exchange(read_, {});
    if (size > 0) read_.append(bytes, static_cast<size_t>(size));
  }
}

void Background::send(int signal) const { kill(pid_, signal); }

void Background::say(const std::string& text) const {
  if (write(input_, text.data(), text.size()) < 0) ADD_FAILURE() << "the program does not listen";
}

Ended Background::wait() {
  close(std::exchange(input_, -1));
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  Ended ended = ended_of(status);
  for (std::string next = line(); !next.empty(); next = line()) ended.out += next + "\n";
  return ended;
}

bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string preload_path() { return HEAPSTER_TEST_PRELOAD; }
std::string new_preload_path() { return HEAPSTER_TEST_NEW_PRELOAD; }
std::string heapster_path() { return HEAPSTER_TEST_COMMAND; }
std::string program_path(const std::string& name) { return std::string(HEAPSTER_TEST_PROGRAMS) + "/" + name; }
std::string source_path(const std::string& name) { return std::string(HEAPSTER_TEST_SOURCE) + "/" + name; }

}  // namespace heapster::test
