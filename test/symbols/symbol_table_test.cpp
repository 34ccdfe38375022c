// SPDX-License-Identifier: MIT
//
// Each answer against libdwfl's own, over objects that people have.

#include "symbols/symbol_table.h"

#include <elfutils/libdwfl.h>
#include <gtest/gtest.h>
#include <link.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heapster::symbols {
namespace {

int no_section(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, GElf_Word, const GElf_Shdr*,
               Dwarf_Addr* address) {
  *address = static_cast<Dwarf_Addr>(-1);
  return 0;
}

class Opened {
 public:
  explicit Opened(const std::string& path) {
    callbacks_.find_elf = dwfl_build_id_find_elf;
    callbacks_.find_debuginfo = dwfl_standard_find_debuginfo;
    callbacks_.section_address = no_section;
    dwfl_.reset(dwfl_begin(&callbacks_));
    dwfl_report_begin(dwfl_.get());
    module = dwfl_report_elf(dwfl_.get(), path.c_str(), path.c_str(), -1, 0, true);
    dwfl_report_end(dwfl_.get(), nullptr, nullptr);
  }

  std::string name_by_libdwfl(uint64_t address) const {
    GElf_Off offset = 0;
    GElf_Sym symbol;
    const char* name = dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
    return name != nullptr ? name : "";
  }

  Dwfl_Module* module = nullptr;

 private:
  Dwfl_Callbacks callbacks_{};
  std::unique_ptr<Dwfl, void (*)(Dwfl*)> dwfl_{nullptr, dwfl_end};
};

// Where code lies: the executable segments.
std::vector<std::pair<uint64_t, uint64_t>> code_of(Dwfl_Module* module) {
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(module, &bias);
  size_t count = 0;
  elf_getphdrnum(elf, &count);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_LOAD) continue;
    if ((header.p_flags & PF_X) != 0) ranges.emplace_back(header.p_vaddr, header.p_vaddr + header.p_memsz);
  }
  return ranges;
}

// A path, or that of an object that this program has loaded.
std::string path_of(std::string_view name) {
  if (name.front() == '/') return std::string(name);
  std::string path;
  const auto look = [&](const dl_phdr_info& info) {
    const std::string_view loaded = info.dlpi_name;
    if (loaded.substr(loaded.find_last_of('/') + 1) == name) path = loaded;
    return 0;
  };
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* by) { return (*static_cast<decltype(look)*>(by))(*info); },
                  const_cast<void*>(static_cast<const void*>(&look)));
  return path;
}

class SymbolTables : public testing::TestWithParam<const char*> {};

TEST_P(SymbolTables, TellWhatLibdwflTells) {
  const Opened object(path_of(GetParam()));
  ASSERT_NE(object.module, nullptr);
  const SymbolTable table(object.module);
  ASSERT_GT(table.symbols(), 100);
  std::mt19937_64 random(7);
  constexpr int kAddresses = 3000;
  int named = 0;
  for (const auto& [low, high] : code_of(object.module)) {
    std::uniform_int_distribution<uint64_t> anywhere(low, high - 1);
    for (int i = 0; i < kAddresses; ++i) {
      const uint64_t address = anywhere(random);
      const char* name = table.at(address);
      EXPECT_EQ(name != nullptr ? name : "", object.name_by_libdwfl(address)) << std::hex << address;
      named += name != nullptr;
    }
  }
  EXPECT_GT(named, kAddresses / 10);
}

// The C library (labels in assembly, aliases, a separate symbol table where it is installed), a C++ library (weak
// symbols), a stripped executable that exports its functions, and ourselves, with all symbols.
INSTANTIATE_TEST_SUITE_P(Real, SymbolTables,
                         testing::Values("libc.so.6", "libstdc++.so.6", "/usr/bin/perl", "/proc/self/exe"));

}  // namespace
}  // namespace heapster::symbols
