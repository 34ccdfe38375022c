// SPDX-License-Identifier: MIT
//
// Runs one program many times, in turn under several environments, and prints what each run took.
//
//   bench_spawn ROUNDS --env [NAME=VALUE]... [--env ...]... -- PROGRAM [ARGUMENT]...
//
// A round runs every environment once; every other round goes backwards (A B B A ...), so that a machine that slowly
// gets faster or slower favours nobody and round n's runs may be compared as a pair. One line per run: number of the
// environment, then wall, user and system time in microseconds; wait4 gives the latter two, descendants included. The
// last word says whether the round had its core alone or shared it (core_watch.h); such a round is repeated, as long as
// there are no more of them than of those asked for. Program and spawner are on one processor.
//
// Linked statically and kept tiny, so that start-up of `true` is measured and not the cost of spawning from a large
// process. The program's output is thrown away; if it fails, so do we: a failed run is no measurement.

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "core_watch.h"

namespace {

using bench::Clock;
using Environment = std::vector<char*>;

struct Plan {
  int rounds = 0;
  std::vector<Environment> environments;
  char** program = nullptr;
};

// What we were given ourselves, with an environment's own settings in front: getenv and ld.so take the first.
Environment inherited() {
  Environment all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.push_back(*entry);
  all.push_back(nullptr);
  return all;
}

Plan read_plan(int argc, char** argv) {
  Plan plan;
  if (argc < 2) return plan;
  plan.rounds = std::atoi(argv[1]);
  for (int i = 2; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") {
      if (i + 1 < argc) plan.program = argv + i + 1;
      break;
    }
    if (argument == "--env") {
      plan.environments.push_back(inherited());
    } else if (!plan.environments.empty() && argument.find('=') != std::string_view::npos) {
      plan.environments.back().insert(plan.environments.back().begin(), argv[i]);
    } else {
      return {};
    }
  }
  return plan;
}

double microseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

struct Run {
  size_t number;
  double wall, user, system;
};

bool run_once(const Plan& plan, size_t number, const posix_spawn_file_actions_t& quiet, std::vector<Run>& round) {
  pid_t child = 0;
  const auto start = Clock::now();
  const int error =
      posix_spawnp(&child, plan.program[0], &quiet, nullptr, plan.program, plan.environments[number].data());
  if (error != 0) {
    std::fprintf(stderr, "bench_spawn: %s: %s\n", plan.program[0], std::strerror(error));
    return false;
  }
  int status = 0;
  rusage usage{};
  if (wait4(child, &status, 0, &usage) != child || status != 0) {
    std::fprintf(stderr, "bench_spawn: %s failed (wait status %d) in environment %zu\n", plan.program[0], status,
                 number);
    return false;
  }
  const std::chrono::duration<double, std::micro> wall = Clock::now() - start;
  round.push_back({number, wall.count(), microseconds(usage.ru_utime), microseconds(usage.ru_stime)});
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const Plan plan = read_plan(argc, argv);
  if (plan.rounds <= 0 || plan.environments.empty() || plan.program == nullptr) {
    std::fputs("usage: bench_spawn ROUNDS --env [NAME=VALUE]... [--env ...]... -- PROGRAM [ARGUMENT]...\n", stderr);
    return 2;
  }
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&quiet, fd, "/dev/null", O_RDWR, 0);
  }
  const size_t count = plan.environments.size();
  bench::CoreWatch watch;
  const auto start = Clock::now();
  std::chrono::nanoseconds waited{0};
  for (int attempt = 0, good = 0; good < plan.rounds && attempt < 2 * plan.rounds; ++attempt) {
    // All in all it waits no longer than it works.
    const auto before = Clock::now();
    bool alone = watch.settle(before - start - 2 * waited);
    waited += Clock::now() - before;
    std::vector<Run> round;
    for (size_t turn = 0; turn < count; ++turn) {
      const size_t number = attempt % 2 == 0 ? turn : count - 1 - turn;
      if (!run_once(plan, number, quiet, round)) return 1;
      alone = watch.is_alone() && alone;
    }
    for (const Run& run : round) {
      std::printf("%zu %.1f %.0f %.0f %s\n", run.number, run.wall, run.user, run.system, alone ? "alone" : "shared");
    }
    good += alone;
  }
}
