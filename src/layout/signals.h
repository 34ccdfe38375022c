// SPDX-License-Identifier: MIT
//
// The signals that may ask for a snapshot, by name. The preload reads HEAPSTER_SIGNAL by this, and
// the command line refuses by it what the preload would ignore.

#pragma once

#include <signal.h>

#include <string_view>

namespace heapster {

struct SignalName {
  std::string_view name;
  int number;
};

// Signals that report a fault of the program, or that cannot be caught, are no choice.
inline constexpr SignalName kDumpSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},     {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},     {"CHLD", SIGCHLD}, {"CONT", SIGCONT},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},   {"XCPU", SIGXCPU},
    {"IO", SIGIO},     {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"PWR", SIGPWR},   {"WINCH", SIGWINCH},
};
inline constexpr int kFirstRealTime = 34;  // as glibc numbers them: it keeps two for itself
inline constexpr int kLastSignal = 64;

// The number of NAME, SIGNAME, a number, RTMIN+n, or none (0); -1 where it is no such.
constexpr int parse_signal(std::string_view text) {
  if (text == "none") return 0;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  for (const SignalName& signal : kDumpSignals) {
    if (text == signal.name) return signal.number;
  }
  const bool real_time = text.starts_with("RTMIN+");
  if (real_time) text.remove_prefix(6);
  if (text.empty() || text.size() > 2) return -1;
  int number = 0;
  for (char digit : text) {
    if (digit < '0' || digit > '9') return -1;
    number = number * 10 + (digit - '0');
  }
  if (real_time) number += kFirstRealTime;
  if (number >= kFirstRealTime && number <= kLastSignal) return number;
  for (const SignalName& signal : kDumpSignals) {
    if (number == signal.number) return number;
  }
  return -1;
}

}  // namespace heapster
