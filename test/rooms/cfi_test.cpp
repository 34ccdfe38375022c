// SPDX-License-Identifier: MIT
//
// The unwind tables of this very program, which the compiler and the linker made, and such that nobody would make.

#include "unwind/cfi.h"

#include <gtest/gtest.h>
#include <link.h>

#include <cstring>
#include <vector>

namespace heapster::unwind {
namespace {

__attribute__((noinline)) int leaf(int value) {
  volatile int kept[64] = {value};
  return kept[0] + kept[63];
}

struct Find {
  uintptr_t address;
  Tables tables;
};

int visit(dl_phdr_info* info, size_t, void* to) {
  auto& find = *static_cast<Find*>(to);
  const uint8_t* header = nullptr;
  bool holds = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& each = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + each.p_vaddr;
    if (each.p_type == PT_GNU_EH_FRAME) header = reinterpret_cast<const uint8_t*>(begin);
    holds = holds || (each.p_type == PT_LOAD && find.address - begin < each.p_memsz);
  }
  if (!holds || header == nullptr) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& each = info->dlpi_phdr[i];
    const auto* begin = reinterpret_cast<const uint8_t*>(info->dlpi_addr + each.p_vaddr);
    if (each.p_type == PT_LOAD && header >= begin && header < begin + each.p_filesz)
      find.tables = {header, begin, begin + each.p_filesz};
  }
  return 1;
}

Tables tables_of(const void* function) {
  Find find{reinterpret_cast<uintptr_t>(function), {}};
  dl_iterate_phdr(visit, &find);
  return find.tables;
}

const void* leaf_function() { return reinterpret_cast<const void*>(&leaf); }

TEST(Cfi, AFunctionsFirstByteHasItsReturnAddressOnTop) {
  ASSERT_EQ(leaf(1), 1);
  const Row row = find_row(tables_of(leaf_function()), reinterpret_cast<uintptr_t>(leaf_function()));
  EXPECT_EQ(row.base, Base::kStack);
  EXPECT_EQ(row.cfa_offset, 8);
  EXPECT_EQ(row.saved, Saved::kSame);
}

TEST(Cfi, AnAddressOfNobodyHasNoRow) {
  const Tables tables = tables_of(leaf_function());
  EXPECT_EQ(find_row(tables, 16).base, Base::kStop);
  EXPECT_EQ(find_row(tables, UINTPTR_MAX).base, Base::kStop);
  EXPECT_EQ(find_row({}, 16).base, Base::kStop);
}

// Each length of the tables that is too short; nothing is read behind its end, where other memory is.
TEST(Cfi, CutTablesHaveNoRow) {
  const Tables whole = tables_of(leaf_function());
  const auto address = reinterpret_cast<uintptr_t>(leaf_function());
  ASSERT_EQ(find_row(whole, address).base, Base::kStack);
  for (const uint8_t* end = whole.header; end < whole.header + 64; ++end)
    EXPECT_EQ(find_row({whole.header, whole.header, end}, address).base, Base::kStop) << end - whole.header;
  EXPECT_EQ(find_row({whole.header, whole.header, whole.header}, address).base, Base::kStop);
}

// A table that says it has 2^32 entries, and one whose entry lies before its beginning.
TEST(Cfi, LyingTablesHaveNoRow) {
  std::vector<uint8_t> bytes = {1, 0x1b, 0x03, 0x3b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
  bytes.resize(64);
  const auto row = [&] {
    return find_row({bytes.data(), bytes.data(), bytes.data() + bytes.size()},
                    reinterpret_cast<uintptr_t>(bytes.data()) + 100);
  };
  EXPECT_EQ(row().base, Base::kStop);
  const uint32_t one = 1;
  const int32_t pair[2] = {0, -4096};
  std::memcpy(&bytes[8], &one, sizeof one);
  std::memcpy(&bytes[12], pair, sizeof pair);
  EXPECT_EQ(row().base, Base::kStop);
}

TEST(Row, IsOneWord) {
  for (const int32_t offset : {0, 8, -8, 4096, 8'388'600, -8'388'608}) {
    const Row row{.base = Base::kFrameStored,
                  .saved = Saved::kAtFrame,
                  .cfa_offset = offset,
                  .saved_offset = -offset / 16 * 8,
                  .module = 16383};
    const Row back = unpack(pack(row));
    EXPECT_EQ(back.base, row.base);
    EXPECT_EQ(back.saved, row.saved);
    EXPECT_EQ(back.cfa_offset, row.cfa_offset);
    EXPECT_EQ(back.saved_offset, row.saved_offset);
    EXPECT_EQ(back.module, row.module);
  }
  EXPECT_FALSE(fits(8'388'608));
  EXPECT_FALSE(fits(4));
}

}  // namespace
}  // namespace heapster::unwind
