// SPDX-License-Identifier: MIT
//
// Each way in which a program can end, after 1,000 allocations of 100 bytes.

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

void allocate() {
  for (int i = 0; i < 1000; ++i) keep(malloc(100));
}

int by_return(int, char**) {
  allocate();
  return 7;
}
int by_exit(int, char**) {
  allocate();
  exit(7);
}
int by_underscore_exit(int, char**) {
  allocate();
  _exit(7);
}
int by_capital_exit(int, char**) {
  allocate();
  _Exit(7);
}
int by_quick_exit(int, char**) {
  allocate();
  quick_exit(7);
}
int by_exit_in_thread(int, char**) {
  allocate();
  std::thread([] { exit(7); }).join();
  return 1;
}
int by_exit_in_handler(int, char**) {
  allocate();
  signal(SIGALRM, [](int) { exit(7); });
  raise(SIGALRM);
  return 1;
}
int by_last_thread(int, char**) {
  allocate();
  std::thread([main = pthread_self()] {
    pthread_join(main, nullptr);
    exit(7);
  }).detach();
  pthread_exit(nullptr);
}
int by_abort(int, char**) {
  allocate();
  abort();
}
int by_kill(int, char**) {
  allocate();
  kill(getpid(), SIGKILL);
  return 1;
}
int by_terminate(int, char**) {
  allocate();
  kill(getpid(), SIGTERM);
  return 1;
}

// Memory that only destructors free: it is not leaked.
struct Late {
  std::vector<std::unique_ptr<char[]>> blocks;
};
Late late;
int freed_by_destructors(int, char**) {
  for (int i = 0; i < 1000; ++i) late.blocks.push_back(std::make_unique<char[]>(100));
  return 0;
}

int exec_chain(int argument_count, char** arguments) {
  allocate();
  if (argument_count > 0) execvp(arguments[0], arguments);
  return 1;
}

// Stays until the test has looked.
int stay(int, char**) {
  allocate();
  ready("ready");
  return 0;
}

}  // namespace

const Entry kEnds[] = {{"return", by_return},
                       {"exit", by_exit},
                       {"_exit", by_underscore_exit},
                       {"_Exit", by_capital_exit},
                       {"quick_exit", by_quick_exit},
                       {"exit-in-thread", by_exit_in_thread},
                       {"exit-in-handler", by_exit_in_handler},
                       {"last-thread", by_last_thread},
                       {"abort", by_abort},
                       {"kill", by_kill},
                       {"terminate", by_terminate},
                       {"destructors", freed_by_destructors},
                       {"exec", exec_chain},
                       {"stay", stay},
                       {nullptr, nullptr}};

}  // namespace scenario
