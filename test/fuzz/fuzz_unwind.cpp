// SPDX-License-Identifier: MIT
//
// libFuzzer target: any bytes are the unwind tables of a loaded object, and any words the stack of a thread. The
// unwinder runs inside the program, so that nothing may be read outside them, whatever they say.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "unwind/capture.h"
#include "unwind/cfi.h"

using namespace heapster::unwind;

namespace {

Tables tables;

Place find(uintptr_t) { return {tables, 1}; }

}  // namespace

// The first byte says how much of the input is the stack, which is in blocks of its own, so that AddressSanitizer sees
// whoever leaves either.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const size_t words = std::min<size_t>(data[0], (size - 1) / 16);
  const size_t stack_bytes = words * 8;
  const size_t table_bytes = size - 1 - stack_bytes;
  const auto copy = std::make_unique<uint8_t[]>(table_bytes);
  std::memcpy(copy.get(), data + 1, table_bytes);
  tables = {copy.get(), copy.get(), copy.get() + table_bytes};
  for (const size_t at : {size_t{0}, size_t{1}, table_bytes / 2, table_bytes})
    find_row(tables, reinterpret_cast<uintptr_t>(copy.get()) + at);
  if (words < 4) return 0;

  // Words below 2^16 are places in the stack, or addresses of functions in the tables; others are what they are.
  auto* stack = static_cast<uintptr_t*>(std::aligned_alloc(16, (stack_bytes + 15) / 16 * 16));
  std::memcpy(stack, data + 1 + table_bytes, stack_bytes);
  for (size_t i = 0; i < words; ++i) {
    const uintptr_t word = stack[i];
    if (word < 0x8000) stack[i] = reinterpret_cast<uintptr_t>(stack) + word % stack_bytes;
    if (word >= 0x8000 && word < 0x10000) stack[i] = reinterpret_cast<uintptr_t>(copy.get()) + word % table_bytes;
  }
  const Bounds bounds = {reinterpret_cast<uintptr_t>(stack), reinterpret_cast<uintptr_t>(stack + words)};
  static auto cache = std::make_unique<RowCache>();
  static auto trail = std::make_unique<Trail>();
  std::memset(cache.get(), 0, sizeof *cache);
  std::memset(trail.get(), 0, sizeof *trail);
  for (int again = 0; again < 2; ++again) {
    const Registers from = {reinterpret_cast<uintptr_t>(copy.get()) + 1, bounds.bottom, stack[0]};
    const Capture taken = capture(*cache, find, bounds, from, *trail);
    if (taken.depth > Trail::kMost) std::abort();
  }
  std::free(stack);
  return 0;
}
