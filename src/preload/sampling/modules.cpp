// SPDX-License-Identifier: MIT

#include "preload/sampling/modules.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include "layout/stacks.h"
#include "preload/base/build_id.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/proc.h"
#include "preload/base/process_state.h"
#include "preload/sampling/stack_tables.h"

namespace heapster::preload {

namespace {

using FindObject = int (*)(void* address, dl_find_object* found);
constinit FindObject find_object = nullptr;

// The kernel's own object has a name, and no path.
bool is_relative(const char* path) {
  if (path[0] == '/') return false;
  while (*path != '\0' && *path != '/') ++path;
  return *path == '/';
}

// A path that is relative was so to where the program was when it loaded the object, and there it still is, most often.
void keep_path(Module& module, const char* path) {
  const size_t size = strlen(path);
  if (is_relative(path) && !process.silent) {
    const long there = kernel::call(__NR_getcwd, kernel::as_long(module.path), sizeof module.path);
    if (there > 0 && static_cast<size_t>(there) + size < sizeof module.path) {
      module.path[there - 1] = '/';
      memcpy(module.path + there, path, size);
      return;
    }
    memset(module.path, 0, sizeof module.path);
  }
  const size_t most = sizeof module.path - 1;
  memcpy(module.path, size > most ? path + size - most : path, size > most ? most : size);
}

struct ProgramHeaders {
  const Elf64_Phdr* first;
  uint64_t count;
};

// They are in an object's first page, behind the ELF header. Of an object with gaps between its segments only the one
// in question was found; the executable's are known nevertheless.
ProgramHeaders headers_of(const dl_find_object& object) {
  const auto* header = static_cast<const Elf64_Ehdr*>(object.dlfo_map_start);
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) == 0) {
    const auto start = reinterpret_cast<uintptr_t>(header);
    return {reinterpret_cast<const Elf64_Phdr*>(start + header->e_phoff), header->e_phnum};
  }
  if (object.dlfo_link_map->l_name[0] != '\0') return {nullptr, 0};
  return {reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR)), getauxval(AT_PHNUM)};
}

void describe_module(Module& module, const dl_find_object& object, const char* path) {
  module.start = reinterpret_cast<uint64_t>(object.dlfo_map_start);
  module.end = reinterpret_cast<uint64_t>(object.dlfo_map_end);
  module.bias = object.dlfo_link_map->l_addr;
  keep_path(module, path);
  const ProgramHeaders headers = headers_of(object);
  if (headers.first != nullptr) find_build_id(headers.first, headers.count, module.bias, module);
}

// The first of all is the program. It has a name, as it was given, where it was started through the dynamic linker,
// which then has no base.
const char* path_of(const link_map& map) {
  const bool named_program = map.l_prev == nullptr && getauxval(AT_BASE) == 0;
  return map.l_name[0] != '\0' && !named_program ? map.l_name : executable_path();
}

// What may be read of an object's unwind tables: the segment that they lie in, or, where that is not known, all that
// the loader says of the object.
unwind::Tables tables_of(const dl_find_object& object) {
  const auto* header = static_cast<const uint8_t*>(object.dlfo_eh_frame);
  unwind::Tables tables = {header, static_cast<const uint8_t*>(object.dlfo_map_start),
                           static_cast<const uint8_t*>(object.dlfo_map_end)};
  const ProgramHeaders headers = headers_of(object);
  for (uint64_t i = 0; i < headers.count; ++i) {
    const Elf64_Phdr& each = headers.first[i];
    const auto* begin = reinterpret_cast<const uint8_t*>(object.dlfo_link_map->l_addr + each.p_vaddr);
    if (each.p_type == PT_LOAD && header >= begin && header < begin + each.p_filesz)
      tables = {header, begin, begin + each.p_filesz};
  }
  return tables;
}

}  // namespace

unwind::Place place_of(uintptr_t address) {
  dl_find_object object;
  if (find_object(reinterpret_cast<void*>(address), &object) != 0) return {};
  Module module{};
  describe_module(module, object, path_of(*object.dlfo_link_map));
  return {tables_of(object), stacks.module_of(module)};
}

bool prepare_places() {
  if (find_object != nullptr || dlsym == nullptr) return find_object != nullptr;
  find_object = reinterpret_cast<FindObject>(dlsym(kDefault, "_dl_find_object"));
  if (find_object == nullptr) dlerror();
  return find_object != nullptr;
}

}  // namespace heapster::preload
