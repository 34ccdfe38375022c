// SPDX-License-Identifier: MIT
//
// Signals. The terminal sends Ctrl-C to the whole process group, so the child has it already; what
// comes from kill(2) was meant for the child and is passed on. We block all that can be blocked and
// take them one by one, so that none can end us before the report; the child gets back the mask and
// the SIGCHLD disposition that we were started with. By the kernel's own calls: libc's leave out
// two signals that it uses itself.

#include "run_child.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

#include "oom_watch.h"
#include "reader/proc.h"

namespace heapster::tool {

namespace {

constexpr uint64_t kAllSignals = ~uint64_t{0};
constexpr timespec kMeanwhile = {.tv_sec = 0, .tv_nsec = 500'000'000};

void set_mask(uint64_t mask, uint64_t* before = nullptr) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof mask);
}

// Stopped from the terminal, we stop as the child does, or the shell would wait for us.
bool stops(int number) { return number == SIGTSTP || number == SIGTTIN || number == SIGTTOU; }

void pass_on(pid_t child, const siginfo_t& what) {
  const bool sent = what.si_code <= 0;  // by a process; the kernel's own are about us, or for the whole group
  if (sent && what.si_code == SI_QUEUE) {
    sigqueue(child, what.si_signo, what.si_value);
  } else if (sent) {
    kill(child, what.si_signo);
  }
  if (stops(what.si_signo)) raise(SIGSTOP);
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, to its end: tells the parent through the pipe when it started, and becomes the
// program, or tells why not. (The parent cannot ask the kernel: a quick program is gone by then.)
[[noreturn]] void become(const std::string& program, const std::vector<std::string>& command,
                         const Environment& environment, int pipe) {
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  const uint64_t ticks = reader::start_ticks_of(static_cast<uint32_t>(getpid())).value_or(0);
  if (write(pipe, &ticks, sizeof ticks) != sizeof ticks) _exit(127);
  setenv("HEAPSTER_ROOT", (std::to_string(getpid()) + "." + std::to_string(ticks)).c_str(), 1);
  const std::vector<char*> arguments = pointers_to(command);
  execv(program.c_str(), arguments.data());
  if (errno == ENOEXEC) {  // as execvp: a script without "#!" is the shell's
    std::vector<char*> shell = {const_cast<char*>("sh"), const_cast<char*>(program.c_str())};
    shell.insert(shell.end(), arguments.begin() + 1, arguments.end());
    execv("/bin/sh", shell.data());
  }
  const int fault = errno;
  [[maybe_unused]] const ssize_t told = write(pipe, &fault, sizeof fault);
  _exit(127);
}

uint64_t monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// What the child told; nothing where it closed the pipe instead.
template <typename Told>
std::optional<Told> read_told(int pipe) {
  Told told{};
  ssize_t size;
  do {
    size = read(pipe, &told, sizeof told);
  } while (size < 0 && errno == EINTR);
  return size == sizeof told ? std::optional(told) : std::nullopt;
}

}  // namespace

Supervisor::Supervisor() {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;  // inherited as ignored, children would vanish unwaited for
  sigaction(SIGCHLD, &plain, &child_before_);
  set_mask(kAllSignals, &before_);
}

Supervisor::~Supervisor() {
  set_mask(before_);
  sigaction(SIGCHLD, &child_before_, nullptr);
}

reader::Result<Child> Supervisor::start(const std::string& program, const std::vector<std::string>& command,
                                        const Environment& environment) {
  int pipe[2];
  if (pipe2(pipe, O_CLOEXEC) != 0) return reader::Error{std::string("no pipe: ") + std::strerror(errno)};
  const pid_t pid = fork();
  if (pid < 0) return reader::Error{std::string("no process: ") + std::strerror(errno)};
  if (pid == 0) {
    sigaction(SIGCHLD, &child_before_, nullptr);
    set_mask(before_);
    become(program, command, environment, pipe[1]);
  }
  close(pipe[1]);
  const auto ticks = read_told<uint64_t>(pipe[0]);
  const auto fault = read_told<int>(pipe[0]);
  close(pipe[0]);
  if (!ticks || fault) {
    waitpid(pid, nullptr, 0);
    return reader::Error{program + ": " + std::strerror(fault.value_or(EIO))};
  }
  return Child{pid, *ticks};
}

Ended Supervisor::wait(const Child& child, const std::function<void()>& meanwhile) {
  OomWatch oom(child.pid);
  for (;;) {
    int status = 0;
    if (waitpid(child.pid, &status, WNOHANG) == child.pid && (WIFEXITED(status) || WIFSIGNALED(status))) {
      const uint64_t now = monotonic_now();
      oom.look();
      const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
      return {signal != 0 ? 128 + signal : WEXITSTATUS(status), signal, status, now, oom.kills()};
    }
    siginfo_t what{};
    if (syscall(SYS_rt_sigtimedwait, &kAllSignals, &what, &kMeanwhile, sizeof kAllSignals) < 0) {
      oom.look();
      meanwhile();
    } else {
      pass_on(child.pid, what);
    }
  }
}

}  // namespace heapster::tool
