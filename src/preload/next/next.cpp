// SPDX-License-Identifier: MIT
//
// Resolution. The first call lands in a stand-in, which fills the table and forwards. dlsym may
// itself allocate; such a call comes from the same thread while it resolves, and is served from
// the early arena. So is whatever comes before our relocation; until then a stand-in must neither call a
// function of libc nor touch thread-local data. Two threads that resolve at once write the same pointers.

#include "preload/next/next.h"

#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/objects.h"
#include "preload/base/thread_state.h"
#include "preload/base/words.h"
#include "preload/next/early_arena.h"

namespace heapster::preload {

constinit EarlyArena early_arena;
HEAPSTER_ASIDE uint8_t usable_eighths[kSmallSizes] = {};

namespace {

// RTLD_NEXT is seen from whoever calls dlsym. Where another preload's dlsym stands in between, the next
// after that may be ourselves; dlvsym asks for ourselves, but wants a version.
void* look_up(const char* name) {
  constexpr const char* kVersions[] = {"GLIBC_2.2.5", "GLIBC_2.16", "GLIBC_2.17", "GLIBC_2.34"};
  void* found = dlsym != nullptr ? dlsym(kNext, name) : nullptr;
  for (const char* version : kVersions) {
    if (!is_ours(found) || dlvsym == nullptr) break;
    if (void* other = dlvsym(kNext, name, version)) found = other;
  }
  return is_ours(found) ? nullptr : found;
}

// An IFUNC is left to dlsym, which has the loader resolve it.
template <typename Function>
void take(Function& slot, const Sought& sought) {
  void* found = sought.found != nullptr ? const_cast<void*>(sought.found) : look_up(sought.name);
  if (found != nullptr) __atomic_store_n(&slot, reinterpret_cast<Function>(found), __ATOMIC_RELEASE);
}

HEAPSTER_ALIGNS_STACK void resolve() {
  const KeepErrno keep;
  thread_state.resolving = true;
#define HEAPSTER_must(name) {#name},
#define HEAPSTER_may(name)
#define HEAPSTER_own(name)
#define HEAPSTER_FUNCTION(name, result, parameters, need) HEAPSTER_##need(name)
  Sought sought[] = {
#include "preload/functions.def"
      {"malloc_usable_size"}};
#undef HEAPSTER_must
#if !defined(__SANITIZE_THREAD__)  // whose runtime defines malloc in the executable; there the test's dlsym tells
  if (is_glibc()) find_bound(sought, sizeof sought / sizeof *sought, __ehdr_start);  // others' objects look otherwise
#endif
  const Sought* each = sought;
#define HEAPSTER_must(name) take(next.name.found, *each++);
#define HEAPSTER_FUNCTION(name, result, parameters, need) HEAPSTER_##need(name)
#include "preload/functions.def"
#undef HEAPSTER_must
#undef HEAPSTER_may
#undef HEAPSTER_own
  next.plain_free = load(next.free.found);
  take(next.usable_size, *each);
  thread_state.resolving = false;
}

constexpr int kSigchld = 17;
constexpr int kEnosys = 38;

// Before relocation the word holds the address from the link, not the one that the code computes.
constinit const void* volatile relocated_word = const_cast<const void**>(&relocated_word);
bool relocated() { return relocated_word == const_cast<const void**>(&relocated_word); }

// True where the caller has to be served from the arena: before relocation, while this thread resolves, and
// for good where the look-up found nothing.
template <typename Function>
bool must_bootstrap(const Function& function) {
  if (!relocated()) return true;
  if (!thread_state.resolving) resolve();
  return thread_state.resolving || load(function.found) == nullptr;
}

void* zeroed_from_arena(size_t count, size_t size) {
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? nullptr : early_arena.take(bytes);
}

void* moved_from_arena(void* block, size_t size) {
  void* fresh = early_arena.take(size);
  if (fresh != nullptr && block != nullptr) EarlyArena::copy(fresh, block, size);
  return fresh;
}

char* text_from_arena(const char* text, size_t most) {
  size_t size = 0;
  while (size < most && text[size] != '\0') ++size;
  auto* fresh = static_cast<char*>(early_arena.take(size + 1));
  if (fresh == nullptr) return nullptr;
  for (size_t i = 0; i < size; ++i) static_cast<volatile char*>(fresh)[i] = text[i];  // memcpy is out of reach
  return fresh;
}

// A function that lies beside the next malloc; null where it has none.
template <typename Function>
void take_of(const Object& home, Function& slot, const char* name) {
  __atomic_store_n(&slot, reinterpret_cast<Function>(const_cast<void*>(function_of(home, name))), __ATOMIC_RELEASE);
}

constinit bool is_libc = false;  // the next allocator is glibc's own, all of it

// Where the next malloc lies; remembered, because one of ours may come to stand in the table.
constinit const void* home_of_malloc = nullptr;

bool same_object(const Object& object, const void* function) {
  return object.base != nullptr && object_of(function).base == object.base;
}

template <typename Function>
const void* address(Function* function) {
  return reinterpret_cast<const void*>(function);
}

}  // namespace

constinit NextFunctions next = {};
constinit BorrowedFunctions borrowed = {};

void* boot_malloc(size_t size) { return must_bootstrap(next.malloc) ? early_arena.take(size) : next.malloc(size); }
void boot_free(void* block) {
  if (!must_bootstrap(next.free)) next.free(block);
}
void* boot_calloc(size_t count, size_t size) {
  return must_bootstrap(next.calloc) ? zeroed_from_arena(count, size) : next.calloc(count, size);
}
void* boot_realloc(void* block, size_t size) {
  return must_bootstrap(next.realloc) ? moved_from_arena(block, size) : next.realloc(block, size);
}
void* boot_memalign(size_t alignment, size_t size) {
  return must_bootstrap(next.memalign) ? early_arena.take(size, alignment) : next.memalign(alignment, size);
}
void* boot_aligned_alloc(size_t alignment, size_t size) {
  return must_bootstrap(next.aligned_alloc) ? early_arena.take(size, alignment) : next.aligned_alloc(alignment, size);
}
int boot_posix_memalign(void** block, size_t alignment, size_t size) {
  if (!must_bootstrap(next.posix_memalign)) return next.posix_memalign(block, alignment, size);
  void* fresh = early_arena.take(size, alignment);
  if (fresh == nullptr) return 12;  // ENOMEM
  *block = fresh;
  return 0;
}
void* boot_valloc(size_t size) {
  return must_bootstrap(next.valloc) ? early_arena.take(size, 4096) : next.valloc(size);
}
void* boot_pvalloc(size_t size) {
  return must_bootstrap(next.pvalloc) ? early_arena.take((size + 4095) & ~size_t{4095}, 4096) : next.pvalloc(size);
}
char* boot_strdup(const char* text) {
  return must_bootstrap(next.strdup) ? text_from_arena(text, SIZE_MAX) : next.strdup(text);
}
char* boot_strndup(const char* text, size_t most) {
  return must_bootstrap(next.strndup) ? text_from_arena(text, most) : next.strndup(text, most);
}
void boot__exit(int status) {
  if (!must_bootstrap(next._exit)) next._exit(status);
  kernel::call(__NR_exit_group, status);
}
void boot__Exit(int status) { boot__exit(status); }
int boot_dlclose(void* handle) { return must_bootstrap(next.dlclose) ? -1 : next.dlclose(handle); }
int boot__Fork() {
  if (!must_bootstrap(next._Fork)) return next._Fork();
  return static_cast<int>(boot_syscall(__NR_clone, kSigchld, 0, 0, 0, 0, 0));
}
int boot_clone(int (*body)(void*), void* stack, int flags, void* argument, void* a, void* b, void* c) {
  if (!must_bootstrap(next.clone)) return next.clone(body, stack, flags, argument, a, b, c);
  *__errno_location() = kEnosys;
  return -1;
}
long boot_syscall(long number, long a, long b, long c, long d, long e, long f) {
  if (!must_bootstrap(next.syscall)) return next.syscall(number, a, b, c, d, e, f);
  const long result = kernel::call(number, a, b, c, d, e, f);
  if (result >= 0 || result < -4095) return result;
  *__errno_location() = static_cast<int>(-result);
  return -1;
}
int boot_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  if (!must_bootstrap(next.prctl)) return next.prctl(option, a, b, c, d);
  return static_cast<int>(boot_syscall(__NR_prctl, option, static_cast<long>(a), static_cast<long>(b),
                                       static_cast<long>(c), static_cast<long>(d), 0));
}

// Before anything can be looked up nobody sets signals but the program itself, by a system call of its own.
void* const kNoHandler = reinterpret_cast<void*>(-1L);  // SIG_ERR
int boot_sigaction(int number, const void* wanted, void* old) {
  if (!must_bootstrap(next.sigaction)) return next.sigaction(number, wanted, old);
  *__errno_location() = kEnosys;
  return -1;
}
int boot___sigaction(int number, const void* wanted, void* old) { return boot_sigaction(number, wanted, old); }
void* boot_signal(int number, void* handler) {
  if (!must_bootstrap(next.signal)) return next.signal(number, handler);
  *__errno_location() = kEnosys;
  return kNoHandler;
}
void* boot_bsd_signal(int number, void* handler) { return boot_signal(number, handler); }
void* boot_ssignal(int number, void* handler) { return boot_signal(number, handler); }
void* boot_sysv_signal(int number, void* handler) {
  if (!must_bootstrap(next.sysv_signal)) return next.sysv_signal(number, handler);
  return boot_signal(number, handler);
}
void* boot___sysv_signal(int number, void* handler) { return boot_sysv_signal(number, handler); }
void* boot_sigset(int number, void* handler) {
  if (!must_bootstrap(next.sigset)) return next.sigset(number, handler);
  return boot_signal(number, handler);
}

size_t usable_size(void* block) {
  if (early_arena.owns(block)) return EarlyArena::usable(block);
  if (next.usable_size == nullptr) return 0;
  if (is_libc) return next.usable_size(block);  // which calls nobody
  const Asking asking;
  return next.usable_size(block);
}

size_t learn_usable_size(void* block, size_t size) {
  const Asking asking;
  const size_t usable = next.usable_size(block);
  const bool follows = next.nallocx != nullptr && size != 0 && next.nallocx(size, 0) == usable;
  if (follows && size < kSmallSizes && usable % 8 == 0 && usable / 8 <= UINT8_MAX)
    store(usable_eighths[size], static_cast<uint8_t>(usable / 8));
  return usable;
}

const void* home_of_next() {
  if (load(home_of_malloc) != nullptr) return home_of_malloc;
  if (load(next.malloc.found) == nullptr) resolve();
  const void* home = object_of(address(next.malloc.found)).base;
  store(home_of_malloc, home);
  return home;
}

NextFacts inspect_next() {
  if (next.usable_size == nullptr) resolve();
  NextFacts facts{};
  const Object home = object_of(address(next.malloc.found));
  facts.path = home.path;
  store(home_of_malloc, home.base);
  if (!same_object(home, address(next.usable_size))) next.usable_size = nullptr;
#define HEAPSTER_must(name)
#define HEAPSTER_may(name) take_of(home, next.name, #name);
#define HEAPSTER_own(name)
#define HEAPSTER_FUNCTION(name, result, parameters, need) HEAPSTER_##need(name)
#include "preload/functions.def"
#undef HEAPSTER_must
#undef HEAPSTER_may
#undef HEAPSTER_own
  facts.is_libc = same_object(home, address(gnu_get_libc_version)) && same_object(home, address(next.free.found)) &&
                  same_object(home, address(next.realloc.found)) &&
                  same_object(home, address(next.posix_memalign.found));
  is_libc = facts.is_libc;
  if (!facts.is_libc) {
    borrowed = {.valloc = !same_object(home, address(next.valloc.found)),
                .pvalloc = !same_object(home, address(next.pvalloc.found))};
    take_of(home, next.nallocx, "nallocx");
    facts.has_strdup = same_object(home, address(next.strdup.found));
    facts.has_strndup = same_object(home, address(next.strndup.found));
    facts.defines_new = function_of(home, "_Znwm") != nullptr;
  }
  return facts;
}

}  // namespace heapster::preload
