// SPDX-License-Identifier: MIT
//
// debuginfod is asked by libdwfl, over the network, and must not make a report wait for ever: each request has a limit,
// and a server that let one run out is not asked again.

#include "symbols/object.h"

#include <chrono>
#include <cstdlib>

#include "symbols/demangle.h"

namespace heapster::symbols {

namespace {

constexpr const char* kServers = "DEBUGINFOD_URLS";
constexpr const char* kLimit = "DEBUGINFOD_TIMEOUT";
constexpr const char* kPatience = "10";  // seconds

bool asks_servers() {
  const char* servers = std::getenv(kServers);
  return servers != nullptr && *servers != '\0';
}

// Does something that may ask a server.
template <class Ask>
auto patiently(Ask ask) {
  if (!asks_servers()) return ask();
  setenv(kLimit, kPatience, 0);
  const char* limit = std::getenv(kLimit);
  const std::chrono::seconds patience(std::atol(limit != nullptr ? limit : kPatience));
  const auto begin = std::chrono::steady_clock::now();
  auto answer = ask();
  if (answer == nullptr && std::chrono::steady_clock::now() - begin >= patience) unsetenv(kServers);
  return answer;
}

std::string debug_path_of(const Places& places) {
  std::string path = ":.debug";
  for (const std::string& directory : places.directories) path += ":" + directory;
  return path;
}

int no_section(Dwfl_Module*, void**, const char*, Dwarf_Addr, const char*, GElf_Word, const GElf_Shdr*,
               Dwarf_Addr* address) {
  *address = static_cast<Dwarf_Addr>(-1);
  return 0;
}

std::string bytes_of(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// An object that is not on this machine: known by its addresses and its build id.
Dwfl_Module* report_unseen(Dwfl* dwfl, const reader::Module& module) {
  if (module.build_id.empty() || !asks_servers() || module.start < module.bias || module.end <= module.start)
    return nullptr;
  const std::string id = bytes_of(module.build_id);
  Dwfl_Module* reported =
      dwfl_report_module(dwfl, module.short_name().c_str(), module.start - module.bias, module.end - module.bias);
  if (reported == nullptr) return nullptr;
  dwfl_module_report_build_id(reported, reinterpret_cast<const unsigned char*>(id.data()), id.size(), 0);
  return reported;
}

}  // namespace

Object::Object(const reader::Module& module, const std::string& path, const Places& places)
    : debug_path_(debug_path_of(places)), debug_path_pointer_(debug_path_.data()) {
  callbacks_.find_elf = dwfl_build_id_find_elf;
  callbacks_.find_debuginfo = dwfl_standard_find_debuginfo;
  callbacks_.section_address = no_section;
  callbacks_.debuginfo_path = &debug_path_pointer_;
  dwfl_.reset(dwfl_begin(&callbacks_));
  if (!dwfl_) return;
  dwfl_report_begin(dwfl_.get());
  // At base 0 addresses of the session are those of the file.
  module_ = path.empty() ? report_unseen(dwfl_.get(), module)
                         : dwfl_report_elf(dwfl_.get(), path.c_str(), path.c_str(), -1, 0, true);
  dwfl_report_end(dwfl_.get(), nullptr, nullptr);
  if (module_ == nullptr) return;
  Dwarf_Addr bias = 0;
  if (patiently([&] { return dwfl_module_getelf(module_, &bias); }) == nullptr) {
    module_ = nullptr;
    return;
  }
  if (patiently([&] { return dwfl_module_getdwarf(module_, &bias); }) != nullptr) functions_.emplace(module_);
}

int Object::symbols() { return table().symbols(); }

SymbolTable& Object::table() {
  if (!table_) table_.emplace(module_);
  return *table_;
}

reader::Locations Object::at(uint64_t address) {
  reader::Locations locations = functions_ ? functions_->at(address) : reader::Locations{};
  if (!locations.empty()) return locations;
  if (const char* name = table().at(address)) locations.push_back({demangle(name), ""});
  return locations;
}

}  // namespace heapster::symbols
