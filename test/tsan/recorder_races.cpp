// SPDX-License-Identifier: MIT
//
// Eight threads allocate, reallocate and free each other's blocks, end and come again, while one thread reads the
// segment as `heapster show` does and another one dumps it as the signal does. TSan must find nothing to say, and the
// sums must be exact. No block's contents are touched: TSan does not see libc's allocator hand them on.

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "preload/base/process_state.h"
#include "preload/count/recorder.h"
#include "preload/snapshot/snapshot_writer.h"
#include "reader/find.h"
#include "reader/load.h"

extern "C" void* dlopen(const char*, int);
extern "C" void* dlsym(void*, const char*);

namespace {

using heapster::preload::next;
using heapster::preload::record_alloc;
using heapster::preload::record_free;
using heapster::preload::record_realloc;

constexpr int kThreads = 8;
constexpr int kWaves = 3;
constexpr int kCalls = 20000;

std::array<std::atomic<void*>, 64> exchange{};
std::atomic<int64_t> allocations{0}, frees{0}, reallocations{0};

// Threads go on for a while after their shard was taken back, and share one.
constexpr int kLateCalls = 100;
pthread_key_t late;

void call_late(void*) {
  for (int i = 0; i < kLateCalls; ++i) record_free(record_alloc(next.malloc(100), 100));
  allocations += kLateCalls;
  frees += kLateCalls;
}

// One thread: its block for whichever lies in some place, which it changes or frees.
void trade(unsigned seed) {
  std::minstd_rand random(seed);
  pthread_setspecific(late, &late);
  int64_t allocated = 0, freed = 0, changed = 0;
  for (int i = 0; i < kCalls; ++i) {
    const size_t size = random() % 4000 + 1;
    void* block = record_alloc(next.malloc(size), size);
    ++allocated;
    block = exchange[random() % exchange.size()].exchange(block);
    if (block == nullptr) continue;
    if (random() % 4 == 0) {
      block = record_realloc(block, random() % 4000 + 1);
      ++changed;
    }
    record_free(block);
    ++freed;
  }
  allocations += allocated;
  frees += freed;
  reallocations += changed;
}

void trade_in_waves() {
  for (int wave = 0; wave < kWaves; ++wave) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(trade, static_cast<unsigned>(wave * kThreads + i + 1));
    for (std::thread& thread : threads) thread.join();
  }
}

int fail(const std::string& what) {
  std::fprintf(stderr, "recorder_races: %s\n", what.c_str());
  return 1;
}

int64_t value(heapster::reader::Number number) { return number.value().value_or(-1); }

// Starts again with a run directory of its own: the preload reads its variables before main.
int start_again(char** arguments) {
  std::string directory = "/dev/shm/heapster-test-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) return fail("no directory");
  setenv("HEAPSTER_RUN_DIR", directory.c_str(), 1);
  setenv("HEAPSTER_OUT", (directory + "/out.heap").c_str(), 1);
  execv("/proc/self/exe", arguments);
  return fail("no second start");
}

int judge(const std::string& segment) {
  const auto snapshot = heapster::reader::load(segment);
  if (!snapshot) return fail(snapshot.error().text);
  const heapster::reader::Stats& stats = snapshot->stats;
  const bool exact =
      value(stats.alloc.count()) == allocations && value(stats.dealloc.count()) == frees &&
      value(stats.realloc_growth.count() + stats.realloc_shrink.count() + stats.realloc_same_count) == reallocations;
  if (!exact) return fail("the sums are wrong");
  const auto late_note = [](const heapster::reader::NoteCount& note) { return note.name == "late_calls"; };
  const auto& notes = snapshot->notes;
  return std::any_of(notes.begin(), notes.end(), late_note) ? 0 : fail("no late calls");
}

}  // namespace

namespace heapster::preload {

const void* own_malloc() { return reinterpret_cast<const void*>(&own_malloc); }

}  // namespace heapster::preload

// With a number above that of the preload's own, which is 31, so that it is called after that.
void make_late_key() {
  constexpr pthread_key_t kPreloads = 31;
  std::vector<pthread_key_t> below;
  while (pthread_key_create(&late, call_late) == 0 && late <= kPreloads) below.push_back(late);
  for (const pthread_key_t key : below) pthread_key_delete(key);
}

extern "C" void* __real_dlsym(void* where, const char* name);
extern "C" void* __wrap_dlsym(void* where, const char* name) {
  constexpr int kLazyAndLoaded = 1 | 4;  // RTLD_LAZY | RTLD_NOLOAD
  if (where == nullptr) return const_cast<void*>(heapster::preload::own_malloc());
  return __real_dlsym(dlopen("libc.so.6", kLazyAndLoaded), name);
}

int main(int, char** arguments) {
  const char* directory = std::getenv("HEAPSTER_RUN_DIR");
  if (directory == nullptr) return start_again(arguments);
  const auto listing = heapster::reader::list(directory);
  if (!listing || listing->found.size() != 1) return fail("no segment");
  const std::string segment = listing->found[0].path;
  make_late_key();

  std::atomic<bool> stop{false};
  std::atomic<int> read{0}, dumped{0};
  std::thread reader([&] {
    while (!stop) read += heapster::reader::load(segment).operator bool();
  });
  std::thread dumper([&] {
    for (int number = 1; !stop; ++number) {
      heapster::preload::write_dump();
      dumped += std::filesystem::remove(std::string(directory) + "/out." + std::to_string(number) + ".heap");
    }
  });
  trade_in_waves();
  stop = true;
  reader.join();
  dumper.join();
  if (read == 0 || dumped == 0) return fail("nothing was read meanwhile");
  if (heapster::preload::process.headers != heapster::preload::Headers::kTrusted) return fail("not the hot path");
  const int verdict = judge(segment);
  std::filesystem::remove_all(directory);
  return verdict;
}
