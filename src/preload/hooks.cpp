// SPDX-License-Identifier: MIT
//
// The exported functions, and nothing else: call the next allocator's, tell the recorder, return
// what the next allocator returned. Each row of functions.def has its body here.
//
// There is no guard against re-entry: nothing that the recorder does calls an allocating function,
// but for pthread_setspecific at a thread's first call, which threads.cpp is prepared for.

#include <asm/unistd.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include <cstddef>
#include <cstdint>

#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/count/recorder.h"
#include "preload/inside/interface.h"
#include "preload/life/end.h"
#include "preload/life/fork.h"
#include "preload/next/early_arena.h"
#include "preload/next/next.h"
#include "preload/sampling/sampler.h"
#include "preload/snapshot/dump_signal.h"

#define HEAPSTER_EXPORT extern "C" __attribute__((visibility("default")))

HEAPSTER_EXPORT void free(void* block);

using heapster::preload::aligned_failed;
using heapster::preload::borrowed;
using heapster::preload::Given;
using heapster::preload::hidden_dump_handler;
using heapster::preload::next;
using heapster::preload::record_alloc;
using heapster::preload::record_free;
using heapster::preload::record_realloc;

namespace {

constexpr int kEinval = 22;
constexpr int kEnomem = 12;

HEAPSTER_COLD void* not_counted(void* block) {
  heapster::preload::raise(heapster::Note::k_borrowed_aligned);
  return block;
}

// A NULL from the aligned family is a failure or a refusal; errno tells, and is only looked at then.
void* record_aligned(void* block, size_t size) {
  if (HEAPSTER_LIKELY(block != nullptr)) return record_alloc<Given::kAligned>(block, size);
  aligned_failed(*__errno_location() == kEinval);
  return nullptr;
}

bool copies_memory(unsigned long clone_flags) { return (clone_flags & CLONE_VM) == 0; }

// A system call may be about to forbid others, or the processor's counter.
void heed_restrictions(long number, long option) {
  if (number == __NR_seccomp || (number == __NR_prctl && option == PR_SET_SECCOMP)) heapster::preload::fall_silent();
  if (number == __NR_prctl && option == PR_SET_TSC)
    heapster::preload::store(heapster::preload::process.no_counter, true);
}

bool makes_a_copy(long number, long argument) {
#if defined(__NR_fork)
  if (number == __NR_fork) return true;
#endif
  if (number == __NR_clone) return copies_memory(static_cast<unsigned long>(argument));
  return number == __NR_clone3 && copies_memory(*reinterpret_cast<const uint64_t*>(argument));
}

// Makes a child that has this memory as its own, and no handler that knows of it.
template <typename Make>
auto forked(Make make) {
  heapster::preload::before_fork();
  const auto child = make();
  if (child == 0) {
    heapster::preload::after_fork_in_child();
  } else {
    heapster::preload::after_fork_in_parent();
  }
  return child;
}

// By the next allocator's function of this name, if it has one.
template <typename... More>
void release(void (*const& function)(void*, More...), void* block, More... more) {
  auto* found = heapster::preload::load(function);
  if (found == nullptr || block == nullptr || heapster::preload::early_arena.owns(block)) return free(block);
  heapster::preload::count_release(block);
  const heapster::preload::Asking asking;
  found(block, more...);
}

}  // namespace

HEAPSTER_EXPORT void* malloc(size_t size) { return record_alloc(next.malloc(size), size); }

HEAPSTER_EXPORT void free(void* block) { record_free(block); }

HEAPSTER_EXPORT void* calloc(size_t count, size_t size) {
  return record_alloc<Given::kCleared>(next.calloc(count, size), count * size);
}

HEAPSTER_EXPORT void* realloc(void* block, size_t size) { return record_realloc(block, size); }

HEAPSTER_EXPORT void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (HEAPSTER_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
    heapster::preload::realloc_overflowed();
    *__errno_location() = kEnomem;
    return nullptr;
  }
  void* now = realloc(block, bytes);  // whoever's the program calls: an executable may have one of its own
  // mimalloc's reallocarray says so where its realloc does not.
  if (HEAPSTER_UNLIKELY(now == nullptr && bytes != 0)) *__errno_location() = kEnomem;
  return now;
}

HEAPSTER_EXPORT void* memalign(size_t alignment, size_t size) {
  return record_aligned(next.memalign(alignment, size), size);
}

HEAPSTER_EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  return record_aligned(next.aligned_alloc(alignment, size), size);
}

HEAPSTER_EXPORT int posix_memalign(void** block, size_t alignment, size_t size) {
  const int result = next.posix_memalign(block, alignment, size);
  if (HEAPSTER_LIKELY(result == 0)) {
    if (*block != nullptr) record_alloc<Given::kAligned>(*block, size);  // for size 0 some allocators give NULL
  } else {
    aligned_failed(result == kEinval);
  }
  return result;
}

HEAPSTER_EXPORT void* valloc(size_t size) {
  void* block = next.valloc(size);
  return HEAPSTER_UNLIKELY(borrowed.valloc) ? not_counted(block) : record_aligned(block, size);
}

HEAPSTER_EXPORT void* pvalloc(size_t size) {
  void* block = next.pvalloc(size);
  return HEAPSTER_UNLIKELY(borrowed.pvalloc) ? not_counted(block) : record_aligned(block, size);
}

HEAPSTER_EXPORT void free_sized(void* block, size_t size) { release(next.free_sized, block, size); }

HEAPSTER_EXPORT void free_aligned_sized(void* block, size_t alignment, size_t size) {
  release(next.free_aligned_sized, block, alignment, size);
}

HEAPSTER_EXPORT void cfree(void* block) { free(block); }

// libc's calls malloc. An allocator's own does not; there, counted_strdup() stands in the table.
HEAPSTER_EXPORT char* strdup(const char* text) { return next.strdup(text); }

HEAPSTER_EXPORT char* strndup(const char* text, size_t most) { return next.strndup(text, most); }

HEAPSTER_EXPORT const heapster_interface_v1* heapster_interface(unsigned version, size_t stats_bytes) {
  return heapster::preload::find_interface(version, stats_bytes);
}

HEAPSTER_EXPORT void _exit(int status) {
  heapster::preload::finish();
  next._exit(status);
  __builtin_unreachable();
}

HEAPSTER_EXPORT void _Exit(int status) {
  heapster::preload::finish();
  next._Exit(status);
  __builtin_unreachable();
}

// Where an object was, another one may come to lie, with other frames.
HEAPSTER_EXPORT int dlclose(void* handle) {
  const int result = next.dlclose(handle);
  heapster::preload::object_unloaded();
  return result;
}

// A child's baseline is what lived when it was made. fork() tells by its handlers; these make a child
// without them.
HEAPSTER_EXPORT int _Fork() {
  return forked([] { return next._Fork(); });
}

HEAPSTER_EXPORT int clone(int (*body)(void*), void* stack, int flags, void* argument, void* a, void* b, void* c) {
  const auto make = [=] { return next.clone(body, stack, flags, argument, a, b, c); };
  return copies_memory(static_cast<unsigned long>(flags)) ? forked(make) : make();
}

// After seccomp a system call may be death, and a look at the counter after PR_SET_TSC, so these two announce it.
HEAPSTER_EXPORT int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  heed_restrictions(__NR_prctl, option);
  return next.prctl(option, a, b, c, d);
}

HEAPSTER_EXPORT long syscall(long number, long a, long b, long c, long d, long e, long f) {
  heed_restrictions(number, a);
  if (HEAPSTER_UNLIKELY(makes_a_copy(number, a))) {
    return forked([=] { return next.syscall(number, a, b, c, d, e, f); });
  }
  if (HEAPSTER_UNLIKELY(number == __NR_rt_sigaction)) {
    const long result = next.syscall(number, a, b, c, d, e, f);
    if (result == 0) heapster::preload::hide_dump_handler_of_kernel(reinterpret_cast<void*>(c));
    return result;
  }
  return next.syscall(number, a, b, c, d, e, f);  // leaves no frame of ours: a vfork returns twice
}

// The program is not to see our handler; what it sets itself is in force.
HEAPSTER_EXPORT int sigaction(int number, const void* wanted, void* old) {
  const int result = next.sigaction(number, wanted, old);
  if (result == 0) heapster::preload::hide_dump_handler(old);
  return result;
}

HEAPSTER_EXPORT int __sigaction(int number, const void* wanted, void* old) {
  const int result = next.__sigaction(number, wanted, old);
  if (result == 0) heapster::preload::hide_dump_handler(old);
  return result;
}

HEAPSTER_EXPORT void* signal(int number, void* handler) { return hidden_dump_handler(next.signal(number, handler)); }

HEAPSTER_EXPORT void* bsd_signal(int number, void* handler) {
  return hidden_dump_handler(next.bsd_signal(number, handler));
}

HEAPSTER_EXPORT void* ssignal(int number, void* handler) { return hidden_dump_handler(next.ssignal(number, handler)); }

HEAPSTER_EXPORT void* sysv_signal(int number, void* handler) {
  return hidden_dump_handler(next.sysv_signal(number, handler));
}

HEAPSTER_EXPORT void* __sysv_signal(int number, void* handler) {
  return hidden_dump_handler(next.__sysv_signal(number, handler));
}

HEAPSTER_EXPORT void* sigset(int number, void* handler) { return hidden_dump_handler(next.sigset(number, handler)); }
