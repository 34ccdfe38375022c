// SPDX-License-Identifier: MIT
//
// debuginfod is asked by libdwfl, over the network, and must not make a report wait for ever: each request has a limit,
// and a server that let one run out is not asked again. Files of this machine are found by us, since libdwfl opens
// whatever it is told, a FIFO for instance.

#include "symbols/object.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "reader/source.h"
#include "symbols/demangle.h"
#include "symbols/helper.h"

namespace heapster::symbols {

namespace {

constexpr const char* kServers = "DEBUGINFOD_URLS";
constexpr const char* kLimit = "DEBUGINFOD_TIMEOUT";
constexpr const char* kPatience = "10";  // seconds

// Does something that may ask a server.
template <class Ask>
auto patiently(Ask ask) {
  if (!asks_servers()) return ask();
  setenv(kLimit, kPatience, 0);
  const char* limit = std::getenv(kLimit);
  const std::chrono::seconds patience(std::atol(limit != nullptr ? limit : kPatience));
  const auto begin = std::chrono::steady_clock::now();
  auto answer = ask();
  if (answer == nullptr && std::chrono::steady_clock::now() - begin >= patience) ask_no_more();
  return answer;
}

// Where libdwfl may look: nowhere, so that it goes on to the servers.
char nowhere[] = "/proc/self/nowhere";
char* debug_path = nowhere;

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

bool asks_servers() {
  const char* servers = std::getenv(kServers);
  return servers != nullptr && *servers != '\0';
}

void ask_no_more() { unsetenv(kServers); }

int Object::find_debug(Dwfl_Module* module, void** object, const char* name, Dwarf_Addr base, const char* file,
                       const char* link, GElf_Word sum, char** found) {
  Object& self = *static_cast<Object*>(*object);
  const Places& places = self.places_;
  const bool shared = link != nullptr && sum == 0;  // asked for by a debug file, for what it shares with others
  DebugFile debug;
  if (file != nullptr) {
    debug = shared ? find_shared_file(file, link, places)
                   : find_debug_file(file, {link != nullptr ? link : "", sum}, places);
  }
  if (debug.descriptor < 0) return dwfl_standard_find_debuginfo(module, object, name, base, file, link, sum, found);
  allow_memory_for(debug.descriptor);
  self.take_note_of_owner(debug.descriptor);
  *found = strdup(debug.path.c_str());
  return debug.descriptor;
}

Object::Object(const reader::Module& module, const std::string& path, const Places& places) : places_(places) {
  callbacks_.find_elf = dwfl_build_id_find_elf;
  callbacks_.find_debuginfo = find_debug;
  callbacks_.section_address = no_section;
  callbacks_.debuginfo_path = &debug_path;
  dwfl_.reset(dwfl_begin(&callbacks_));
  if (!dwfl_) return;
  dwfl_report_begin(dwfl_.get());
  if (path.empty()) {
    module_ = report_unseen(dwfl_.get(), module);
  } else if (const reader::Result<int> file = reader::open_regular(path, reader::Links::kFollow)) {
    allow_memory_for(*file);
    take_note_of_owner(*file);
    // At base 0 addresses of the session are those of the file.
    module_ = dwfl_report_elf(dwfl_.get(), path.c_str(), path.c_str(), *file, 0, true);
    if (module_ == nullptr) close(*file);
  }
  dwfl_report_end(dwfl_.get(), nullptr, nullptr);
  if (module_ == nullptr) return;
  void** object = nullptr;
  dwfl_module_info(module_, &object, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  *object = this;
  Dwarf_Addr bias = 0;
  if (patiently([&] { return dwfl_module_getelf(module_, &bias); }) == nullptr) {
    module_ = nullptr;
    return;
  }
  if (patiently([&] { return dwfl_module_getdwarf(module_, &bias); }) != nullptr) functions_.emplace(module_);
}

void Object::take_note_of_owner(int descriptor) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || (status.st_uid != 0 && status.st_uid != geteuid())) trusted_ = false;
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
