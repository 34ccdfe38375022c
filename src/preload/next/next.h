// SPDX-License-Identifier: MIT
//
// The next allocator: what would have been called had we not been loaded. Found by RTLD_NEXT at
// the first call, never by libc's private names, so that any allocator may stand behind us.
//
// A function that is not yet found is a null pointer, not a pointer to a stand-in: an IFUNC resolver of
// a library that the loader relocates before us may call malloc, and then no pointer of ours leads
// anywhere, while zeros are what they will always be.

#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/base/attributes.h"
#include "preload/base/words.h"

namespace heapster::preload {

// One of its functions, and what stands in for it until it is found: that looks all of them up, and goes on.
template <auto stand_in>
struct NextFunction;
template <typename Result, typename... Parameters, Result (*stand_in)(Parameters...)>
struct NextFunction<stand_in> {
  Result (*found)(Parameters...);

  HEAPSTER_HOT Result operator()(Parameters... parameters) const {
    auto* function = found;
    if (HEAPSTER_UNLIKELY(function == nullptr)) return stand_in(parameters...);
    return function(parameters...);
  }
};

#define HEAPSTER_must(name, result, parameters) result boot_##name parameters;
#define HEAPSTER_may(name, result, parameters)
#define HEAPSTER_own(name, result, parameters)
#define HEAPSTER_FUNCTION(name, result, parameters, need) HEAPSTER_##need(name, result, parameters)
#include "preload/functions.def"
#undef HEAPSTER_must
#undef HEAPSTER_may
#undef HEAPSTER_own

struct NextFunctions {
#define HEAPSTER_must(name, result, parameters) NextFunction<boot_##name> name;
#define HEAPSTER_may(name, result, parameters) result(*name) parameters;
#define HEAPSTER_own(name, result, parameters)
#define HEAPSTER_FUNCTION(name, result, parameters, need) HEAPSTER_##need(name, result, parameters)
#include "preload/functions.def"
#undef HEAPSTER_must
#undef HEAPSTER_may
#undef HEAPSTER_own
  void (*plain_free)(void*);       // free, whoever stands in the table to follow sampled blocks
  size_t (*usable_size)(void*);    // null where the next allocator has none of its own
  size_t (*nallocx)(size_t, int);  // the same of jemalloc's way to tell usable sizes from requested ones
};

HEAPSTER_LOCAL extern constinit NextFunctions next;

// Which of the obsolete functions the next allocator lacks (jemalloc has no pvalloc), so that libc's are found behind
// it: their blocks are not its own, and must not be shown to it. Of the others this is not assumed: a shim that has
// malloc alone, and passes it on, may leave them to the same allocator.
struct BorrowedFunctions {
  bool valloc, pvalloc;
};
HEAPSTER_LOCAL extern constinit BorrowedFunctions borrowed;

// Usable bytes of a block, by the next allocator's own word; 0 where it has none.
size_t usable_size(void* block);

// Usable bytes of a block of so many requested, not aligned, by the next allocator's own word. jemalloc and tcmalloc
// promise by nallocx that the one follows from the other; there, what they once said of a small size is remembered,
// since asking costs more than counting.
inline constexpr size_t kSmallSizes = 2048;
HEAPSTER_LOCAL extern uint8_t usable_eighths[kSmallSizes];
HEAPSTER_COLD size_t learn_usable_size(void* block, size_t size);
HEAPSTER_HOT size_t usable_size_of(void* block, size_t size) {
  const uint8_t known = HEAPSTER_LIKELY(size < kSmallSizes) ? load(usable_eighths[size]) : 0;
  return HEAPSTER_LIKELY(known != 0) ? size_t{known} * 8 : learn_usable_size(block, size);
}

// What a look at the next allocator found, for the constructor.
struct NextFacts {
  const char* path;  // of the object it lies in; empty where unknown
  bool is_libc;      // glibc's own, all of it
  bool defines_new;  // the same object defines operator new,
  bool has_strdup;   // and these, which do not call malloc
  bool has_strndup;
};
NextFacts inspect_next();

// The object that the next malloc lies in; null where unknown.
const void* home_of_next();

// A glibc chunk's size field, which lies before the block; its flag bits; usable bytes from it.
inline uint64_t chunk_size_field(const void* block) { return static_cast<const uint64_t*>(block)[-1]; }
inline constexpr uint64_t kChunkMmapped = 2;
inline uint64_t usable_of_chunk(uint64_t field) { return (field & ~uint64_t{7}) - sizeof(uint64_t); }

// Usable bytes of a block where headers are trusted. Those of blocks that were mapped by themselves, and of the early
// arena's, say that they do not tell.
inline uint64_t usable_by_header(void* block) {
  const uint64_t field = chunk_size_field(block);
  return HEAPSTER_LIKELY((field & kChunkMmapped) == 0) ? usable_of_chunk(field) : usable_size(block);
}

}  // namespace heapster::preload
