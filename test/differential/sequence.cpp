// SPDX-License-Identifier: MIT
//
// A long random sequence of calls, made from a seed, that tells what the program could see of it:
//   sequence SEED ROUNDS PER_ROUND THREADS FUNCTIONS [FROM TO]
//   sequence functions
// Each round starts THREADS - 1 threads, works in all of them at once, joins them, prints one line
// with a digest of all that was seen, and hands some blocks of each thread over to the next one. The
// threads share nothing in a round, so two runs over the same allocator print the same lines. With
// one thread, exact usable sizes are part of it. With FROM and TO, these rounds are told in words.
// In the end it prints its own account, and how much it leaves unfreed.
//
// FUNCTIONS are those of the kinds below that may be called, by letters: an allocator need not define
// all of them, and a block of libc's pvalloc is nothing for another allocator's free. `sequence
// functions` prints the letters of those that come from the same object as malloc.
//
// Linked without a C++ library, so that every allocation of this process is one of its own.

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "transcript.h"

// Libc may lack these. Looked up by the linker: a dlsym that fails would allocate.
extern "C" {
__attribute__((weak)) void free_sized(void*, size_t);
__attribute__((weak)) void free_aligned_sized(void*, size_t, size_t);
__attribute__((weak)) void cfree(void*);
}

namespace {

using differential::Block;
using differential::Transcript;

constexpr int kUntouched = 4242;  // no errno of any call
constexpr uint32_t kMostThreads = 8;
constexpr uint32_t kSlots = 256;
constexpr uint32_t kHandedOver = 24;

struct Account {
  uint64_t alloc_count, alloc_sum, alloc_fail_count, alloc_invalid_count;
  uint64_t dealloc_count, free_null_count;
  uint64_t realloc_count, realloc_request_sum, realloc_fail_count;
};

struct Worker {
  int index;
  uint64_t random;
  uint64_t operations;
  uint64_t marks;
  int last_errno;
  Account account;
  Transcript transcript;
  Block slots[kSlots];
  Block inbox[kHandedOver];
};

Worker workers[kMostThreads];
uint32_t thread_count = 1;
uint64_t per_round;
const char* functions = "";

bool sized_frees;  // whether the three are the same allocator's as malloc
bool old_frees;

template <typename Function>
bool beside_malloc(Function* function) {
  const auto home_of = [](const void* address) {
    Dl_info info;
    return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
  };
  const void* home = home_of(reinterpret_cast<const void*>(function));
  return home != nullptr && home == home_of(dlsym(RTLD_DEFAULT, "malloc"));
}

bool may_call(char letter) { return strchr(functions, letter) != nullptr; }

uint64_t draw(Worker& worker) {
  uint64_t z = worker.random += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t below(Worker& worker, uint64_t limit) { return draw(worker) % limit; }

size_t draw_size(Worker& worker) {
  const uint64_t kind = below(worker, 1000);
  if (kind < 30) return 0;
  if (kind < 600) return below(worker, 128) + 1;
  if (kind < 880) return below(worker, 1024) + 1;
  if (kind < 980) return below(worker, 8192) + 1;
  if (kind < 998) return below(worker, 65536) + 1;
  return below(worker, 1 << 20) + 1;
}

// More than any machine has.
size_t draw_huge(Worker& worker) {
  static constexpr size_t kHuge[] = {SIZE_MAX,         SIZE_MAX - 7,     SIZE_MAX - 4096, PTRDIFF_MAX,
                                     PTRDIFF_MAX - 31, SIZE_MAX / 2 + 1, size_t{1} << 62, size_t{1} << 48};
  return kHuge[below(worker, sizeof kHuge / sizeof *kHuge)];
}

size_t draw_alignment(Worker& worker) {
  static constexpr size_t kRefused[] = {0, 1, 3, 4, 24, 48, 4095};
  if (below(worker, 12) == 0) return kRefused[below(worker, sizeof kRefused / sizeof *kRefused)];
  return size_t{8} << below(worker, below(worker, 16) == 0 ? 14 : 8);
}

uint64_t misaligned(const void* block, size_t alignment) {
  const bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
  return power_of_two ? reinterpret_cast<uintptr_t>(block) & (alignment - 1) : 0;
}

size_t natural_alignment(size_t size) { return size < 16 ? 8 : 16; }

// What can be seen of a fresh block, and its filling.
void take_in(Worker& worker, Block& block, void* bytes, size_t size, size_t alignment) {
  Transcript& transcript = worker.transcript;
  block = {static_cast<unsigned char*>(bytes), size, 0, ++worker.marks * 0x2545f491u};
  transcript.saw("given", bytes != nullptr);
  if (bytes == nullptr) return;
  block.usable = malloc_usable_size(bytes);
  transcript.saw("too small", block.usable < size);
  if (thread_count == 1) transcript.saw("usable", block.usable);
  if (size != 0) transcript.saw("misaligned", misaligned(bytes, alignment));
  if (block.usable < size) block.size = block.usable;  // tcmalloc's pvalloc of nearly everything
  fill(block);
}

void account_alloc(Account& account, const void* block, size_t size) {
  if (block != nullptr) {
    ++account.alloc_count;
    account.alloc_sum += size;
  } else {
    ++account.alloc_fail_count;
  }
}

void account_aligned(Account& account, const void* block, size_t size, bool refused) {
  if (block == nullptr && refused) {
    ++account.alloc_invalid_count;
  } else {
    account_alloc(account, block, size);
  }
}

// Calls with a known errno before, and notes the one after.
template <typename Call>
auto watch_errno(Worker& worker, Call call) {
  errno = kUntouched;
  const auto result = call();
  worker.last_errno = errno;
  worker.transcript.saw("errno", static_cast<uint64_t>(worker.last_errno));
  return result;
}

template <typename Call>
void watch_errno_of_void(Worker& worker, Call call) {
  watch_errno(worker, [&] {
    call();
    return 0;
  });
}

void do_malloc(Worker& worker, Block& block, size_t size) {
  worker.transcript.given("malloc", size);
  void* bytes = watch_errno(worker, [&] { return malloc(size); });
  account_alloc(worker.account, bytes, size);
  take_in(worker, block, bytes, size, natural_alignment(size));
}

void do_calloc(Worker& worker, Block& block, size_t count, size_t size) {
  worker.transcript.given("calloc", count);
  worker.transcript.given("of", size);
  void* bytes = watch_errno(worker, [&] { return calloc(count, size); });
  account_alloc(worker.account, bytes, count * size);
  if (bytes != nullptr)
    worker.transcript.saw("not zero", differential::not_zero(static_cast<unsigned char*>(bytes), count * size));
  take_in(worker, block, bytes, count * size, natural_alignment(count * size));
}

void do_realloc_of_null(Worker& worker, Block& block, size_t size) {
  worker.transcript.given("realloc of null", size);
  void* bytes = watch_errno(worker, [&] { return realloc(nullptr, size); });
  account_alloc(worker.account, bytes, size);
  take_in(worker, block, bytes, size, natural_alignment(size));
}

void do_reallocarray_of_null(Worker& worker, Block& block, size_t count, size_t size) {
  worker.transcript.given("reallocarray of null", count);
  worker.transcript.given("of", size);
  void* bytes = watch_errno(worker, [&] { return reallocarray(nullptr, count, size); });
  size_t product;
  if (__builtin_mul_overflow(count, size, &product)) {
    ++worker.account.realloc_fail_count;
  } else {
    account_alloc(worker.account, bytes, product);
  }
  take_in(worker, block, bytes, count * size, natural_alignment(count * size));
}

void do_memalign(Worker& worker, Block& block, size_t alignment, size_t size) {
  worker.transcript.given("memalign", alignment);
  worker.transcript.given("size", size);
  void* bytes = watch_errno(worker, [&] { return memalign(alignment, size); });
  account_aligned(worker.account, bytes, size, worker.last_errno == EINVAL);
  take_in(worker, block, bytes, size, alignment);
}

void do_aligned_alloc(Worker& worker, Block& block, size_t alignment, size_t size) {
  worker.transcript.given("aligned_alloc", alignment);
  worker.transcript.given("size", size);
  void* bytes = watch_errno(worker, [&] { return aligned_alloc(alignment, size); });
  account_aligned(worker.account, bytes, size, worker.last_errno == EINVAL);
  take_in(worker, block, bytes, size, alignment);
}

void do_posix_memalign(Worker& worker, Block& block, size_t alignment, size_t size) {
  worker.transcript.given("posix_memalign", alignment);
  worker.transcript.given("size", size);
  void* const before = &worker;
  void* bytes = before;
  const int result = watch_errno(worker, [&] { return posix_memalign(&bytes, alignment, size); });
  worker.transcript.saw("result", static_cast<uint64_t>(result));
  worker.transcript.saw("touched", bytes != before);
  if (result != 0) bytes = nullptr;
  if (result != 0 || bytes != nullptr) account_aligned(worker.account, bytes, size, result == EINVAL);
  take_in(worker, block, bytes, size, alignment);
}

void do_page_alloc(Worker& worker, Block& block, bool whole_pages, size_t size) {
  worker.transcript.given(whole_pages ? "pvalloc" : "valloc", size);
  void* bytes = watch_errno(worker, [&] { return whole_pages ? pvalloc(size) : valloc(size); });
  account_aligned(worker.account, bytes, size, worker.last_errno == EINVAL);
  take_in(worker, block, bytes, size, 4096);
}

void allocate(Worker& worker, Block& block) {
  const uint64_t kind = below(worker, 100);
  const bool failing = below(worker, 60) == 0;
  const size_t size = failing ? draw_huge(worker) : draw_size(worker);
  const size_t alignment = draw_alignment(worker);
  const size_t count = failing ? (size_t{1} << below(worker, 40)) : below(worker, 8);
  if (kind < 12) {
    do_calloc(worker, block, failing ? count | 1 : count, failing ? size : size / 4);
  } else if (kind < 17) {
    do_realloc_of_null(worker, block, size);
  } else if (kind < 22) {
    do_reallocarray_of_null(worker, block, failing ? count | 1 : count, failing ? size : size / 4);
  } else if (kind < 25 && may_call('m')) {
    do_memalign(worker, block, alignment, size);
  } else if (kind < 29 && may_call('a')) {
    do_aligned_alloc(worker, block, alignment, size);
  } else if (kind < 34 && may_call('p')) {
    do_posix_memalign(worker, block, alignment, size);
  } else if (kind < 35 && may_call('v')) {
    do_page_alloc(worker, block, false, size);
  } else if (kind < 36 && may_call('V')) {
    do_page_alloc(worker, block, true, size);
  } else {
    do_malloc(worker, block, size);
  }
}

void release(Worker& worker, Block& block) {
  worker.transcript.saw("spoiled", spoiled(block, block.usable + 1));
  const uint64_t kind = below(worker, 24);
  worker.transcript.given("free", kind);
  watch_errno_of_void(worker, [&] {
    if (kind == 0 && sized_frees) {
      free_sized(block.bytes, block.size);
    } else if (kind == 1 && sized_frees) {
      free_aligned_sized(block.bytes, 8, block.size);
    } else if (kind == 2 && old_frees) {
      cfree(block.bytes);
    } else {
      free(block.bytes);
    }
  });
  ++worker.account.dealloc_count;
  block = {};
}

// A realloc came back: with a block, with none because it freed, or with none because it failed.
void take_in_again(Worker& worker, Block& block, void* bytes, size_t size) {
  Account& account = worker.account;
  if (bytes != nullptr) {
    const Block moved = {static_cast<unsigned char*>(bytes), block.size, block.usable, block.mark};
    worker.transcript.saw("lost", spoiled(moved, size < block.size ? size : block.size));
    ++account.realloc_count;
    account.realloc_request_sum += size;
    take_in(worker, block, bytes, size, natural_alignment(size));
  } else if (size == 0) {
    worker.transcript.saw("freed", 1);
    ++account.dealloc_count;
    block = {};
  } else {
    worker.transcript.saw("failed", 1);
    worker.transcript.saw("spoiled", spoiled(block, block.usable + 1));
    ++account.realloc_fail_count;
  }
}

void reallocate(Worker& worker, Block& block) {
  const uint64_t kind = below(worker, 40);
  size_t size = kind < 20 ? draw_size(worker) : block.size + below(worker, block.size / 2 + 32);
  if (kind == 0) size = 0;
  if (kind == 1) size = draw_huge(worker);
  worker.transcript.saw("spoiled", spoiled(block, block.usable + 1));
  worker.transcript.given("realloc", size);
  void* bytes = watch_errno(worker, [&] { return realloc(block.bytes, size); });
  take_in_again(worker, block, bytes, size);
}

void reallocate_array(Worker& worker, Block& block) {
  const bool overflowing = below(worker, 12) == 0;
  const size_t count = overflowing ? size_t{1} << (1 + below(worker, 40)) : below(worker, 6);
  const size_t size = overflowing ? SIZE_MAX / 2 + 1 : draw_size(worker) / 4;
  worker.transcript.given("reallocarray", count);
  worker.transcript.given("of", size);
  void* bytes = watch_errno(worker, [&] { return reallocarray(block.bytes, count, size); });
  take_in_again(worker, block, bytes, overflowing ? SIZE_MAX : count * size);
}

void look(Worker& worker, const Block& block) {
  worker.transcript.given("look", block.size);
  const size_t usable = watch_errno(worker, [&] { return malloc_usable_size(block.bytes); });
  worker.transcript.saw("changed", usable != block.usable);
  worker.transcript.saw("spoiled", spoiled(block, block.usable + 1));
}

void use_nothing(Worker& worker) {
  worker.transcript.given("null", 0);
  watch_errno_of_void(worker, [] { free(nullptr); });
  ++worker.account.free_null_count;
  worker.transcript.saw("usable", watch_errno(worker, [] { return malloc_usable_size(nullptr); }));
}

void operate(Worker& worker, Block& block) {
  worker.transcript.begin(worker.index, worker.operations++, "");
  const uint64_t kind = below(worker, 100);
  if (kind < 2) {
    use_nothing(worker);
  } else if (block.bytes == nullptr) {
    allocate(worker, block);
  } else if (kind < 52) {
    release(worker, block);
  } else if (kind < 90) {
    reallocate(worker, block);
  } else if (kind < 95) {
    reallocate_array(worker, block);
  } else {
    look(worker, block);
  }
}

// What another thread allocated is freed, reallocated or looked at here, at least once.
void* work(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  for (Block& block : worker.inbox) {
    if (block.bytes != nullptr) operate(worker, block);
  }
  for (uint64_t i = 0; i < per_round; ++i) operate(worker, worker.slots[below(worker, kSlots)]);
  return nullptr;
}

// Each worker's first slots go to the next one's inbox, and what is left of the inbox to the slots.
void hand_over() {
  for (uint32_t i = 0; i < thread_count; ++i) {
    for (uint32_t at = 0; at < kHandedOver; ++at) {
      Block& theirs = workers[(i + 1) % thread_count].inbox[at];
      const Block left = theirs;
      theirs = workers[i].slots[at];
      workers[i].slots[at] = left;
    }
  }
}

void work_in_threads() {
  pthread_t threads[kMostThreads];
  for (uint32_t i = 1; i < thread_count; ++i) {
    if (pthread_create(&threads[i], nullptr, work, &workers[i]) != 0) abort();
  }
  work(&workers[0]);
  for (uint32_t i = 1; i < thread_count; ++i) pthread_join(threads[i], nullptr);
}

__attribute__((format(printf, 1, 2))) void print(const char* format, ...) {
  char line[256];
  va_list values;
  va_start(values, format);
  const int size = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  if (size > 0 && write(1, line, static_cast<size_t>(size)) != size) abort();
}

void print_number(const char* name, uint64_t value) {
  print("%s %llu\n", name, static_cast<unsigned long long>(value));
}

uint64_t sum(uint64_t Account::*member) {
  uint64_t total = 0;
  for (const Worker& worker : workers) total += worker.account.*member;
  return total;
}

void print_live() {
  uint64_t count = 0;
  uint64_t bytes = 0;
  const auto add = [&](const Block& block) {
    count += block.bytes != nullptr;
    bytes += block.usable;
  };
  for (const Worker& worker : workers) {
    for (const Block& block : worker.slots) add(block);
    for (const Block& block : worker.inbox) add(block);
  }
  print_number("live_count", count);
  print_number("use_curr", bytes);
}

void print_account() {
  print_number("alloc_count", sum(&Account::alloc_count));
  print_number("alloc_sum", sum(&Account::alloc_sum));
  print_number("alloc_fail_count", sum(&Account::alloc_fail_count));
  print_number("alloc_invalid_count", sum(&Account::alloc_invalid_count));
  print_number("dealloc_count", sum(&Account::dealloc_count));
  print_number("free_null_count", sum(&Account::free_null_count));
  print_number("realloc_count", sum(&Account::realloc_count));
  print_number("realloc_request_sum", sum(&Account::realloc_request_sum));
  print_number("realloc_fail_count", sum(&Account::realloc_fail_count));
  print_live();
}

int print_functions() {
  const auto print_if = [](bool beside, const char* letter) {
    if (beside) print("%s", letter);
  };
  print_if(beside_malloc(memalign), "m");
  print_if(beside_malloc(aligned_alloc), "a");
  print_if(beside_malloc(posix_memalign), "p");
  print_if(beside_malloc(valloc), "v");
  print_if(beside_malloc(pvalloc), "V");
  return 0;
}

uint64_t number(const char* text) { return strtoull(text, nullptr, 10); }

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count == 2 && strcmp(arguments[1], "functions") == 0) return print_functions();
  if (argument_count != 6 && argument_count != 8) return 2;
  const uint64_t rounds = number(arguments[2]);
  per_round = number(arguments[3]);
  thread_count = static_cast<uint32_t>(number(arguments[4]));
  functions = arguments[5];
  const uint64_t from = argument_count == 8 ? number(arguments[6]) : UINT64_MAX;
  const uint64_t to = argument_count == 8 ? number(arguments[7]) : 0;
  if (thread_count == 0 || thread_count > kMostThreads) return 2;
  sized_frees = beside_malloc(free_sized) && beside_malloc(free_aligned_sized);
  old_frees = beside_malloc(cfree);
  for (uint32_t i = 0; i < thread_count; ++i) {
    workers[i].index = static_cast<int>(i);
    workers[i].random = number(arguments[1]) * kMostThreads + i;
  }
  for (uint64_t round = 0; round < rounds; ++round) {
    for (Worker& worker : workers) worker.transcript.speak(round >= from && round <= to);
    work_in_threads();
    uint64_t digest = 0;
    for (Worker& worker : workers) {
      worker.transcript.flush();
      digest = digest * 31 + worker.transcript.digest();
    }
    print("round %llu %016llx\n", static_cast<unsigned long long>(round), static_cast<unsigned long long>(digest));
    hand_over();
  }
  print_account();
  return 0;
}
