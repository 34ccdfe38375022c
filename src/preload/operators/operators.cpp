// SPDX-License-Identifier: MIT
//
// What makes libheapster-new.so of libheapster.so: hooks in front of every operator new and delete,
// for allocators that bring their own, which do not call malloc.
//
// An operator that lies elsewhere (libstdc++) is passed through untouched: the malloc underneath is
// ours and counts. One that lies beside the next malloc is counted here, unless it comes back
// through our malloc or free after all; each call looks whether it did, until the answer has been no
// so often that it is believed.
//
// bad_alloc passes through these frames: this file has unwind tables, and nothing to clean up in
// any of them, so it needs no C++ library. A failure that is thrown is not counted.

#include "preload/operators/operators.h"

#include <cstddef>
#include <cstdint>

#include "layout/bucket.h"
#include "preload/base/libc.h"
#include "preload/count/recorder.h"
#include "preload/count/threads.h"
#include "preload/next/next.h"
#include "preload/operators/operator_finder.h"
#include "preload/sampling/followed.h"
#include "preload/shard/size_lines.h"

#define HEAPSTER_EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
void* malloc(size_t size);
void* memalign(size_t alignment, size_t size);
void free(void* block);
}

namespace heapster::preload {

const bool counts_operators = true;

namespace {

constexpr uint32_t kProof = 16;

// Aligned or not: what is asked for is what the block has.
void* count_new(void* block, size_t size) { return aligned_asking(block, size); }

uint64_t ask_usable_size(void* block) { return block != nullptr ? usable_size(block) : 0; }

// It went past our functions, or it did not: then it never will.
void learn(Operator& which, bool went_past) {
  if (!went_past) {
    which.way = Way::kVerbatim;
  } else if (++which.agreed >= kProof) {
    which.way = Way::kOwn;
  }
}

Shard* shard_of_thread() {
  Shard* shard = own_shard();
  return shard != nullptr ? shard : find_target().shard;
}

template <typename... More>
void* new_on_probation(Operator& which, void* (*function)(size_t, More...), size_t size, More... more) {
  Shard* shard = shard_of_thread();
  if (shard != nullptr) store(shard->last, uint64_t{0});
  void* block = function(size, more...);
  if (shard == nullptr || block == nullptr) return block;
  const bool went_past = load(shard->last) != reinterpret_cast<uint64_t>(block);
  learn(which, went_past);
  return went_past ? count_new(block, size) : block;
}

template <typename... More>
void* forward_new(Operator& which, void* otherwise, const void* caller, size_t size, More... more) {
  const auto function = reinterpret_cast<void* (*)(size_t, More...)>(next_of(which, otherwise, caller));
  switch (thread_state.asking ? Way::kVerbatim : which.way) {
    case Way::kVerbatim:
      break;
    case Way::kProbation:
      return new_on_probation(which, function, size, more...);
    case Way::kOwn:
      return count_new(function(size, more...), size);
  }
  return function(size, more...);
}

// How often a block of this size, or null, was freed on this shard.
uint64_t frees_like(const Shard* shard, const void* block, uint64_t usable) {
  return block == nullptr ? load(shard->counters.free_null_count) : size_line(*shard, bucket_of(usable)).dealloc.count;
}

template <typename... More>
void delete_on_probation(Operator& which, void (*function)(void*, More...), void* block, More... more) {
  Shard* shard = shard_of_thread();
  if (shard == nullptr) return function(block, more...);
  const uint64_t usable = ask_usable_size(block);
  const uint64_t before = frees_like(shard, block, usable);
  function(block, more...);
  const bool went_past = frees_like(shard, block, usable) == before;
  learn(which, went_past);
  if (went_past) freed_asking(block, usable);
}

template <typename... More>
void forward_delete(Operator& which, void* otherwise, const void* caller, void* block, More... more) {
  const auto function = reinterpret_cast<void (*)(void*, More...)>(next_of(which, otherwise, caller));
  forget_sample(block);
  if (thread_state.asking) return function(block, more...);
  if (which.way == Way::kProbation) return delete_on_probation(which, function, block, more...);
  if (which.way == Way::kOwn) count_release(block);
  function(block, more...);
}

// Without an operator in the whole process: plain functions of the same parameters.
template <typename... Arguments>
int mention(Arguments...);  // all of them, whichever are used
#define HEAPSTER_NEW(name, parameters, otherwise, ...) \
  void* without_##name parameters { return (void)sizeof(mention(__VA_ARGS__)), otherwise; }
#define HEAPSTER_DELETE(name, parameters, ...) \
  void without_##name parameters { return (void)sizeof(mention(__VA_ARGS__)), free(block); }
#include "preload/operators/operators.def"

struct Operators {
#define HEAPSTER_NEW(name, parameters, otherwise, ...) Operator name;
#define HEAPSTER_DELETE(name, parameters, ...) Operator name;
#include "preload/operators/operators.def"
};

#define HEAPSTER_OPERATOR(name) .name = {#name, nullptr, Way::kVerbatim, 0},
constinit Operators operators = {
#define HEAPSTER_NEW(name, parameters, otherwise, ...) HEAPSTER_OPERATOR(name)
#define HEAPSTER_DELETE(name, parameters, ...) HEAPSTER_OPERATOR(name)
#include "preload/operators/operators.def"
};

constinit bool looked = false;
constinit bool to_be_routed = false;

__attribute__((constructor)) void find_operators() {
  if (!is_glibc()) return;
  looked = true;
  if (!find_behind_us(operators._Znwm)) return find_none_behind_us();
#define HEAPSTER_NEW(name, parameters, otherwise, ...) find_behind_us(operators.name);
#define HEAPSTER_DELETE(name, parameters, ...) find_behind_us(operators.name);
#include "preload/operators/operators.def"
  if (to_be_routed) route_operators_through_malloc();
}

}  // namespace

void route_operators_through_malloc() {
  to_be_routed = true;
  if (!looked) return;
#define HEAPSTER_NEW(name, parameters, otherwise, ...) find_through_malloc(operators.name);
#define HEAPSTER_DELETE(name, parameters, ...) find_through_malloc(operators.name);
#include "preload/operators/operators.def"
}

}  // namespace heapster::preload

// The operator itself, what stands in for it, and who calls.
#define HEAPSTER_THIS(name)                                                                      \
  heapster::preload::operators.name, reinterpret_cast<void*>(heapster::preload::without_##name), \
      __builtin_return_address(0)
#define HEAPSTER_NEW(name, parameters, otherwise, ...) \
  HEAPSTER_EXPORT void* name parameters { return heapster::preload::forward_new(HEAPSTER_THIS(name), __VA_ARGS__); }
#define HEAPSTER_DELETE(name, parameters, ...) \
  HEAPSTER_EXPORT void name parameters { heapster::preload::forward_delete(HEAPSTER_THIS(name), __VA_ARGS__); }
#include "preload/base/thread_state.h"
#include "preload/operators/operators.def"
#include "preload/shard/own_shard.h"
