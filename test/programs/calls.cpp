// SPDX-License-Identifier: MIT
//
// Each allocating call, in known numbers, and what became of reallocations as the program itself
// can tell by malloc_usable_size and pointers.

#include <dlfcn.h>
#include <malloc.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "scenario.h"

namespace scenario {

namespace {

// Volatile, so that no call is merged, moved or foreseen to fail.
volatile size_t huge = SIZE_MAX / 2 + 1;
volatile size_t one = 1;

int nothing(int, char**) { return 0; }

int each_call(int, char**) {
  free(keep(malloc(100)));
  free(keep(calloc(10, 10)));
  free(keep(memalign(64, 100)));
  free(keep(aligned_alloc(64, 128)));
  void* block = nullptr;
  if (posix_memalign(&block, 64, 100) == 0) free(keep(block));
  free(keep(valloc(100)));
  free(keep(pvalloc(100)));
  free(keep(realloc(nullptr, 100)));
  free(keep(reallocarray(nullptr, 10, 10)));
  delete static_cast<char*>(keep(new char));
  delete[] static_cast<char*>(keep(new char[100]));
  operator delete(keep(operator new(100, std::align_val_t(128))), std::align_val_t(128));
  free(keep(strdup("0123456789")));
  free(keep(malloc(0)));
  return 0;
}

// Not freed: over an allocator that lacks pvalloc, the block is libc's.
int whole_pages(int, char**) { return keep(pvalloc(60'000)) == nullptr; }

int frees(int, char**) {
  for (int i = 0; i < 5; ++i) free(nullptr);
  void* block = keep(malloc(100));
  if (realloc(block, 0) != nullptr) return 1;
  const auto cfree = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "cfree"));
  const auto free_sized = reinterpret_cast<void (*)(void*, size_t)>(dlsym(RTLD_DEFAULT, "free_sized"));
  const auto free_aligned =
      reinterpret_cast<void (*)(void*, size_t, size_t)>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  if (cfree == nullptr || free_sized == nullptr || free_aligned == nullptr) return 1;
  cfree(keep(malloc(100)));
  free_sized(keep(malloc(100)), 100);
  free_aligned(keep(aligned_alloc(64, 128)), 64, 128);
  return 0;
}

using FreeSized = void (*)(void*, size_t);
using FreeAlignedSized = void (*)(void*, size_t, size_t);

int sized_frees(int, char**) {
  const auto free_sized = reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"));
  const auto free_aligned_sized = reinterpret_cast<FreeAlignedSized>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  for (int i = 0; i < 100; ++i) {
    free_sized(keep(malloc(3000)), 3000);
    free_aligned_sized(keep(aligned_alloc(64, 3200)), 64, 3200);
  }
  free_sized(nullptr, 0);
  return 0;
}

int wrongly_sized_free(int, char**) {
  reinterpret_cast<FreeSized>(dlsym(RTLD_DEFAULT, "free_sized"))(keep(malloc(100)), 5000);
  return 0;
}

// Blocks of a function that nobody can see, freed in sight.
int unseen_blocks(int, char**) {
  const auto mallocx = reinterpret_cast<void* (*)(size_t, int)>(dlsym(RTLD_DEFAULT, "mallocx"));
  if (mallocx == nullptr) return 1;
  for (int i = 0; i < 100; ++i) free(keep(malloc(20'000)));
  for (int i = 0; i < 1000; ++i) free(keep(mallocx(3000, 0)));
  return 0;
}

int copies(int, char**) {
  static char text[4000];
  std::memset(text, 'x', 3000);
  for (int i = 0; i < 100; ++i) {
    free(keep(strdup(text)));
    char* part = static_cast<char*>(keep(strndup(text, 2500)));
    if (strlen(part) != 2500) return 1;
  }
  return 0;
}

// errno and results as libc alone would give them.
int failures(int, char**) {
  errno = 0;
  if (malloc(huge) != nullptr || errno != ENOMEM) return 1;
  errno = 0;
  if (calloc(huge, 4) != nullptr || errno != ENOMEM) return 2;
  errno = 0;
  if (reallocarray(nullptr, huge, 4) != nullptr || errno != ENOMEM) return 3;
  void* block = malloc(100);
  std::memset(block, 'x', 100);
  errno = 0;
  if (realloc(block, huge) != nullptr || errno != ENOMEM) return 4;
  if (static_cast<char*>(block)[99] != 'x') return 5;
  free(block);
  void* untouched = &errno;
  if (posix_memalign(&untouched, 3 * one, 8) != EINVAL || untouched != &errno) return 6;
  if (posix_memalign(&untouched, 64, huge) != ENOMEM || untouched != &errno) return 7;
  errno = 0;
  if (memalign(huge + 1, 8) != nullptr || errno != EINVAL) return 8;
  errno = 77;
  free(malloc(10));
  return errno == 77 ? 0 : 9;
}

// Whether glibc mapped a block by itself: that bit says so.
bool is_mapped(const void* block) { return (static_cast<const size_t*>(block)[-1] & 2) != 0; }

// Reallocations of many kinds, classified here as semantics.md has it.
int reallocs(int, char**) {
  long long remaps = 0, remap_sum = 0;
  long long growth = 0, growth_sum = 0, shrink = 0, shrink_sum = 0, same = 0, moves = 0, move_sum = 0, asked = 0;
  constexpr int kBlocks = 8;
  void* blocks[kBlocks] = {};
  uint64_t random = 42;
  for (int i = 0; i < 20000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    void*& block = blocks[(random >> 33) % kBlocks];
    const size_t size = 1 + (random >> 40) % (i % 100 == 0 ? 300000 : 3000);
    if (block == nullptr) {
      block = malloc(size);
      continue;
    }
    const size_t was = malloc_usable_size(block);
    const auto before = reinterpret_cast<uintptr_t>(block);
    const bool mapped = is_mapped(block);
    block = realloc(block, size);
    const size_t is = malloc_usable_size(block);
    asked += static_cast<long long>(size);
    if (is > was) ++growth, growth_sum += static_cast<long long>(is - was);
    if (is < was) ++shrink, shrink_sum += static_cast<long long>(was - is);
    if (is == was) ++same;
    if (reinterpret_cast<uintptr_t>(block) == before) continue;
    const auto moved = static_cast<long long>(was < is ? was : is);
    ++moves, move_sum += moved;
    if (mapped && is_mapped(block)) ++remaps, remap_sum += moved;
  }
  long long live = 0;
  for (void* block : blocks) live += static_cast<long long>(malloc_usable_size(block));
  tell("realloc_growth_count", growth), tell("realloc_growth_sum", growth_sum);
  tell("realloc_shrink_count", shrink), tell("realloc_shrink_sum", shrink_sum);
  tell("realloc_same_count", same), tell("realloc_request_sum", asked);
  tell("realloc_move_count", moves), tell("realloc_move_sum", move_sum);
  tell("realloc_remap_count", remaps), tell("realloc_remap_sum", remap_sum);
  tell("realloc_copy_count", moves - remaps), tell("realloc_copy_sum", move_sum - remap_sum);
  tell("alloc_count", kBlocks), tell("use_curr", live), tell("live_count", kBlocks);
  return 0;
}

// What lives by size, as malloc_usable_size tells: blocks on both sides of the largest that is counted by its exact
// size, some freed, some cut, some grown in chains that interrupt each other.
int living(int, char**) {
  constexpr size_t kBlocks = 1200;
  static void* blocks[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) blocks[i] = malloc(i * 5);
  for (size_t i = 0; i < kBlocks; i += 3) free(blocks[i]), blocks[i] = nullptr;
  for (size_t i = 1; i + 3 < kBlocks; i += 9) {
    for (size_t times = 2; times < 5; ++times) {
      blocks[i] = realloc(blocks[i], i * 5 * times);
      if (i % 2 == 0) blocks[i + 3] = realloc(blocks[i + 3], i * 5 * times);
    }
    blocks[i + 1] = realloc(blocks[i + 1], 1 + i / 2);
  }
  long long counts[65] = {}, sums[65] = {};
  for (void* block : blocks) {
    if (block == nullptr) continue;
    const size_t bytes = malloc_usable_size(block);
    const int bucket = 64 - __builtin_clzll(bytes);
    ++counts[bucket];
    sums[bucket] += static_cast<long long>(bytes);
  }
  for (int bucket = 1; bucket < 65; ++bucket) {
    char name[] = {'c', 'o', 'u', 'n', 't', static_cast<char>('0' + bucket), 0};
    char sum[] = {'b', 'y', 't', 'e', 's', static_cast<char>('0' + bucket), 0};
    tell(name, counts[bucket]);
    tell(sum, sums[bucket]);
  }
  return 0;
}

// A block that glibc maps by itself stays one when it is cut, however small it gets.
int cut_to_a_page(int, char**) {
  void* kept[32];  // enough for chunk headers to be believed
  for (void*& block : kept) block = malloc(100);
  for (size_t i = 0; i < 100; ++i) {
    void* block = keep(memalign(2048, 300000));
    const auto before = malloc_usable_size(block);
    block = realloc(block, 100 + i);
    if (malloc_usable_size(block) >= before) return 1;
    free(block);
  }
  long long live = 0;
  for (void* block : kept) live += static_cast<long long>(malloc_usable_size(block));
  tell("use_curr", live), tell("live_count", 32), tell("realloc_shrink_count", 100);
  return 0;
}

// Live bytes go up and down by a computed sequence; the highest level is known exactly.
int peak(int, char**) {
  constexpr int kBlocks = 3000;
  static void* blocks[kBlocks];
  long long live = 0;
  long long highest = 0;
  uint64_t random = 7;
  for (int i = 0; i < 200000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    void*& block = blocks[(random >> 33) % kBlocks];
    if (block != nullptr && (random >> 62) != 0) {
      live -= static_cast<long long>(malloc_usable_size(block));
      free(block);
      block = nullptr;
    } else if (block == nullptr) {
      block = malloc((random >> 40) % 5000);
      live += static_cast<long long>(malloc_usable_size(block));
    }
    if (live > highest) highest = live;
  }
  tell("use_max", highest), tell("use_curr", live);
  return 0;
}

int temporary(int, char**) {
  for (int i = 0; i < 1000; ++i) free(keep(malloc(50)));  // each freed before the next allocation
  static void* blocks[1000];
  for (void*& block : blocks) block = malloc(60);
  for (void* block : blocks) free(block);  // only the last one is freed right after its allocation, in reverse none
  return 0;
}

// Sizes whose buckets and quantiles can be computed by hand.
int sizes(int, char**) {
  for (int i = 0; i < 100; ++i) keep(malloc(0));
  for (int i = 0; i < 200; ++i) keep(malloc(1));
  for (int i = 0; i < 300; ++i) keep(malloc(1024));
  for (int i = 0; i < 400; ++i) keep(malloc(1023));
  keep(malloc(1 << 20));
  return 0;
}

}  // namespace

const Entry kCalls[] = {{"nothing", nothing},
                        {"each-call", each_call},
                        {"frees", frees},
                        {"whole-pages", whole_pages},
                        {"sized-frees", sized_frees},
                        {"wrongly-sized-free", wrongly_sized_free},
                        {"copies", copies},
                        {"unseen-blocks", unseen_blocks},
                        {"failures", failures},
                        {"reallocs", reallocs},
                        {"peak", peak},
                        {"temporary", temporary},
                        {"sizes", sizes},
                        {"living", living},
                        {"cut-to-a-page", cut_to_a_page},
                        {nullptr, nullptr}};

}  // namespace scenario
