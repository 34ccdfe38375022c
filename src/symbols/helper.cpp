// SPDX-License-Identifier: MIT

#include "symbols/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <new>
#include <string_view>
#include <vector>

#include "symbols/object.h"

namespace heapster::symbols {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kDone = ".";    // the last line of a helper that came to its end
constexpr int kOutOfMemory = 3;       // its exit code
constexpr size_t kPiece = 64 * 1024;  // bytes that are said at a time
constexpr rlim_t kUnpacked = 8;       // what a file may grow to
constexpr std::chrono::minutes kForServers{10};

void limit(__rlimit_resource resource, rlim_t most) {
  rlimit limits{};
  getrlimit(resource, &limits);
  limits.rlim_cur = std::min(most, limits.rlim_max);
  setrlimit(resource, &limits);
}

rlim_t address_space() {
  std::ifstream file("/proc/self/statm");
  rlim_t pages = 0;
  file >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

bool write_all(int to, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t put = write(to, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    done += static_cast<size_t>(put);
  }
  return true;
}

[[noreturn]] void be_helper(const Limits& limits, const std::function<void(const Say&)>& work, int to) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGBUS, SIGSEGV, SIGXCPU, SIGABRT, SIGPIPE}) std::signal(signal, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, static_cast<rlim_t>(limits.seconds));
  limit(RLIMIT_AS, address_space() + limits.bytes);
  try {
    std::string waiting;
    work([&](const std::string& line) {
      waiting += line + "\n";
      if (waiting.size() < kPiece) return;
      if (!write_all(to, waiting)) _exit(1);
      waiting.clear();
    });
    write_all(to, waiting + kDone + "\n");
  } catch (const std::bad_alloc&) {
    _exit(kOutOfMemory);
  }
  _exit(0);
}

// Reads what a helper says, line by line.
class Ear {
 public:
  Ear(int from, const Limits& limits, const std::function<void(const std::string&)>& take)
      : from_(from), left_(limits.said), take_(take) {
    const std::chrono::milliseconds patience = 2 * std::chrono::seconds(limits.seconds);
    until_ = Clock::now() + (asks_servers() ? patience + kForServers : patience);
  }

  // Until its end, or until time is over. Why no more is heard; empty: it has ended.
  std::string listen() {
    std::vector<char> piece(kPiece);
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - Clock::now()).count();
      if (left <= 0) return "looking its names up took too long";
      pollfd wait{from_, POLLIN, 0};
      if (poll(&wait, 1, static_cast<int>(left)) <= 0) continue;
      const ssize_t got = read(from_, piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return "";
      if (static_cast<uint64_t>(got) > left_) return "its names take more room than they may";
      left_ -= static_cast<uint64_t>(got);
      hear({piece.data(), static_cast<size_t>(got)});
    }
  }

  bool done() const { return done_; }

 private:
  void hear(std::string_view bytes) {
    for (size_t end; (end = bytes.find('\n')) != std::string_view::npos; bytes.remove_prefix(end + 1)) {
      line_ += bytes.substr(0, end);
      done_ = line_ == kDone;
      if (!done_) take_(line_);
      line_.clear();
    }
    line_ += bytes;
  }

  int from_;
  uint64_t left_;
  const std::function<void(const std::string&)>& take_;
  Clock::time_point until_;
  std::string line_;
  bool done_ = false;
};

std::string why_it_ended(int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kOutOfMemory) return "looking its names up took too much memory";
  if (!WIFSIGNALED(status)) return "its names could not be looked up";
  switch (WTERMSIG(status)) {
    case SIGXCPU:
    case SIGKILL:
      return "looking its names up took too long";
    case SIGBUS:
      return "it was cut short while its names were looked up";
    default:
      return std::string("looking its names up ended by ") + strsignal(WTERMSIG(status));
  }
}

}  // namespace

std::string in_helper(const Limits& limits, const std::function<void(const Say&)>& work,
                      const std::function<void(const std::string& line)>& take) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::string("its names cannot be looked up: ") + std::strerror(errno);
  const pid_t pid = fork();
  if (pid == 0) be_helper(limits, work, ends[1]);
  const int error = errno;
  close(ends[1]);
  std::string trouble;
  if (pid < 0) {
    trouble = std::string("its names cannot be looked up: ") + std::strerror(error);
  } else {
    Ear ear(ends[0], limits, take);
    trouble = ear.listen();
    if (!trouble.empty()) kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (trouble.empty() && !ear.done()) trouble = why_it_ended(status);
  }
  close(ends[0]);
  return trouble;
}

void allow_memory_for(int descriptor) {
  rlimit limits{};
  struct stat status {};
  if (getrlimit(RLIMIT_AS, &limits) != 0 || limits.rlim_cur == RLIM_INFINITY || fstat(descriptor, &status) != 0) return;
  const auto held = static_cast<rlim_t>(std::min<off_t>(status.st_size, status.st_blocks * 512));
  limit(RLIMIT_AS, limits.rlim_cur + kUnpacked * held);
}

}  // namespace heapster::symbols
