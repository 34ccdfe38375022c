// SPDX-License-Identifier: MIT
//
// System calls without libc: libc's wrappers can be interposed by other preloads that allocate,
// are cancellation points, and write errno. These return -errno and touch nothing else.

#pragma once

#include <asm/unistd.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

namespace heapster::preload::kernel {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
#error "heapster knows the system calls of x86-64 and aarch64 only"
#endif
}

inline constexpr size_t kPage = 4096;  // the smallest that there is

inline long as_long(const void* pointer) { return reinterpret_cast<long>(pointer); }

inline uint32_t pid() { return static_cast<uint32_t>(call(__NR_getpid)); }
inline uint32_t tid() { return static_cast<uint32_t>(call(__NR_gettid)); }
inline uint32_t effective_uid() { return static_cast<uint32_t>(call(__NR_geteuid)); }

// Even if it is a zombie, or another user's.
inline bool process_exists(uint32_t pid) {
  constexpr long kNoSuchProcess = -3;  // -ESRCH
  return call(__NR_kill, static_cast<long>(pid), 0) != kNoSuchProcess;
}

inline int open_at(int directory, const char* path, int flags, unsigned mode = 0) {
  return static_cast<int>(call(__NR_openat, directory, as_long(path), flags | O_CLOEXEC, mode));
}
inline void close(int fd) { call(__NR_close, fd); }
inline long read(int fd, void* to, size_t bytes) { return call(__NR_read, fd, as_long(to), static_cast<long>(bytes)); }
inline long write(int fd, const void* from, size_t bytes) {
  return call(__NR_write, fd, as_long(from), static_cast<long>(bytes));
}
inline long write_at(int fd, const void* from, size_t bytes, uint64_t offset) {
  return call(__NR_pwrite64, fd, as_long(from), static_cast<long>(bytes), static_cast<long>(offset));
}
inline long truncate(int fd, uint64_t bytes) { return call(__NR_ftruncate, fd, static_cast<long>(bytes)); }
inline long allocate(int fd, uint64_t bytes) { return call(__NR_fallocate, fd, 0, 0, static_cast<long>(bytes)); }
inline long unlink_at(int directory, const char* path) { return call(__NR_unlinkat, directory, as_long(path), 0); }
inline long rename_in(int directory, const char* from, const char* to) {
  return call(__NR_renameat2, directory, as_long(from), directory, as_long(to), 0);
}
inline bool exists_at(int directory, const char* path) {
  return call(__NR_faccessat, directory, as_long(path), 0) == 0;
}
inline long read_link(const char* path, char* to, size_t room) {
  return call(__NR_readlinkat, AT_FDCWD, as_long(path), as_long(to), static_cast<long>(room));
}

// Null where the kernel refused.
inline void* map(size_t bytes, int flags, int fd, size_t offset = 0) {
  long result =
      call(__NR_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE, flags, fd, static_cast<long>(offset));
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<void*>(result);
}
inline void unmap(void* at, size_t bytes) { call(__NR_munmap, as_long(at), static_cast<long>(bytes)); }
// There and nowhere else; false where something lies there. Of private memory for -1.
inline bool map_at(void* at, size_t bytes, int fd, size_t offset) {
  const int flags = MAP_FIXED_NOREPLACE | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  const long result = call(__NR_mmap, as_long(at), static_cast<long>(bytes), PROT_READ | PROT_WRITE, flags, fd,
                           static_cast<long>(offset));
  if (result == as_long(at)) return true;
  if (result >= 0 || result <= -4096) unmap(reinterpret_cast<void*>(result), bytes);  // a kernel before 4.17
  return false;
}
// Without moving; false where something lies behind it, or `bytes` is not how long it is.
inline bool lengthen(void* at, size_t bytes, size_t more) {
  return call(__NR_mremap, as_long(at), static_cast<long>(bytes), static_cast<long>(more), 0) == as_long(at);
}
inline const void* map_read_only(size_t bytes, int fd) {
  long result = call(__NR_mmap, 0, static_cast<long>(bytes), PROT_READ, MAP_SHARED, fd, 0);
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<const void*>(result);
}
inline long advise(void* at, size_t bytes, int advice) {
  return call(__NR_madvise, as_long(at), static_cast<long>(bytes), advice);
}
// Has a file's pages set aside, so that touching them is no SIGBUS on a full tmpfs. True where they are: kernels before
// Linux 5.14 refuse, and what stands in for a kernel (qemu, a sandbox) may say 0 to advice that it does not know.
inline bool set_aside(void* at, size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE
  if (advise(at, bytes, kPopulateWrite) != 0) return false;
  const auto last = (reinterpret_cast<uintptr_t>(at) + bytes - 1) & ~(kPage - 1);
  unsigned char there = 0;
  return call(__NR_mincore, static_cast<long>(last), kPage, as_long(&there)) == 0 && (there & 1) != 0;
}

}  // namespace heapster::preload::kernel
