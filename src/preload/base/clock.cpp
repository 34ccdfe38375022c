// SPDX-License-Identifier: MIT

#include "preload/base/clock.h"

#include <elf.h>
#include <time.h>

#include "preload/base/kernel.h"
#include "preload/base/notes.h"
#include "preload/base/text.h"
#include "preload/base/words.h"

namespace heapster::preload {

namespace {

using ClockGettime = int (*)(int clock, timespec* time);
constinit ClockGettime vdso_clock = nullptr;

constexpr uint64_t in_nanoseconds(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// Looks a function up in the vDSO's dynamic symbols, which its section headers name.
const void* find_in_vdso(const char* image, const char* name) {
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + header->e_shoff);
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_DYNSYM) continue;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image + sections[i].sh_offset);
    const char* names = image + sections[sections[i].sh_link].sh_offset;
    for (size_t k = 0; k < sections[i].sh_size / sizeof(Elf64_Sym); ++k) {
      if (symbols[k].st_shndx != SHN_UNDEF && equal(names + symbols[k].st_name, name)) {
        return image + symbols[k].st_value;
      }
    }
  }
  return nullptr;
}

int no_clock(int, timespec*) { return -1; }

ClockGettime find_clock() {
#if defined(__aarch64__)
  const char* name = "__kernel_clock_gettime";
#else
  const char* name = "__vdso_clock_gettime";
#endif
  const auto image = getauxval(AT_SYSINFO_EHDR);
  const void* found = image == 0 ? nullptr : find_in_vdso(reinterpret_cast<const char*>(image), name);
  if (found != nullptr) return reinterpret_cast<ClockGettime>(const_cast<void*>(found));
  raise(Note::k_clock_missing);
  return no_clock;
}

uint64_t ask_kernel(int clock) {
  timespec time{};
  kernel::call(__NR_clock_gettime, clock, kernel::as_long(&time));
  return in_nanoseconds(time);
}

}  // namespace

uint64_t coarse_time() {
  if (load(vdso_clock) == nullptr) store(vdso_clock, find_clock());
  timespec time{};
  return vdso_clock(CLOCK_MONOTONIC_COARSE, &time) == 0 ? in_nanoseconds(time) : 0;
}

uint64_t fine_time() {
  if (load(vdso_clock) == nullptr) store(vdso_clock, find_clock());
  timespec time{};
  return vdso_clock(CLOCK_MONOTONIC, &time) == 0 ? in_nanoseconds(time) : 0;
}

uint64_t coarse_time_of_kernel() { return ask_kernel(CLOCK_MONOTONIC_COARSE); }

uint64_t fine_time_of_kernel() { return ask_kernel(CLOCK_MONOTONIC); }

uint64_t epoch_time() { return ask_kernel(CLOCK_REALTIME); }

}  // namespace heapster::preload
