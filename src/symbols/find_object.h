// SPDX-License-Identifier: MIT
//
// Which file on this machine is the object that a snapshot tells of. A path proves nothing: since then the program may
// have been built anew, or the snapshot comes from elsewhere. The build id decides; without one, the path has to do.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "reader/stacks.h"

namespace heapster::symbols {

struct Places {
  std::string sysroot = {};                   // before the paths of a snapshot; empty: this machine's own root
  std::vector<std::string> directories = {};  // with separate debug files, .build-id/ab/cdef.debug
};

// The places where debug files lie on a Debian or Fedora system, after those that the user named.
Places with_defaults(Places places);

struct FoundObject {
  std::string path;     // empty: there is none
  std::string trouble;  // why not, or why with reserve, where that is worth a word
};
FoundObject find_object(const reader::Module& module, const Places& places);

// The separate debug file of the object at `path`: by its build id, or by the name that the object tells.
struct DebugFile {
  int descriptor = -1;  // whoever asked closes it; -1: there is no such file
  std::string path;
};
struct DebugLink {
  std::string name;  // empty: it tells none
  uint32_t sum = 0;  // CRC-32 of the whole file, where there is no build id
};
DebugFile find_debug_file(const std::string& path, const DebugLink& link, const Places& places);
// The file that debug files share, as the one at `path` names it.
DebugFile find_shared_file(const std::string& path, const std::string& name, const Places& places);

// Lower-case hexadecimal; empty where the file is no ELF file or has none.
std::string build_id_of(const std::string& path);

}  // namespace heapster::symbols
