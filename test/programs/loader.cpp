// SPDX-License-Identifier: MIT
//
// Programs that give the loader work while others allocate.

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "scenario.h"

namespace scenario {

namespace {

// Loads, throws, catches, unloads, in 4 threads; others look at all objects and allocate as they go.
int storm(int, char** arguments) {
  static std::atomic<int> caught{0};
  static std::atomic<bool> stop{false};
  std::vector<std::thread> storming, looking;
  for (int i = 0; i < 4; ++i) {
    storming.emplace_back([arguments] {
      for (int k = 0; k < 200; ++k) {
        void* plugin = dlopen(arguments[0], RTLD_NOW | RTLD_LOCAL);
        if (plugin == nullptr) continue;
        const auto throw_up = reinterpret_cast<void (*)(int)>(dlsym(plugin, "throw_up"));
        try {
          throw_up(10);
        } catch (const std::runtime_error&) {
          ++caught;
        }
        dlclose(plugin);
      }
    });
  }
  for (int i = 0; i < 2; ++i) {
    looking.emplace_back([] {
      const auto visit = [](dl_phdr_info*, size_t, void*) { return free(keep(malloc(100))), 0; };
      while (!stop) dl_iterate_phdr(visit, nullptr);
    });
  }
  for (std::thread& thread : storming) thread.join();
  stop = true;
  for (std::thread& thread : looking) thread.join();
  tell("caught", caught);
  return caught == 800 ? 0 : 1;
}

// Writes one byte too many, which MALLOC_CHECK_ has glibc's debugging library find.
int overrun(int, char**) {
  char* block = static_cast<char*>(keep(malloc(24)));
  block[24] = 1;
  free(block);
  return 0;
}

}  // namespace

const Entry kLoader[] = {{"dlopen-storm", storm}, {"overrun", overrun}, {nullptr, nullptr}};

}  // namespace scenario
