// SPDX-License-Identifier: MIT
//
// Which file on this machine is the object that a snapshot tells of. A path proves nothing: since then the program may
// have been built anew, or the snapshot comes from elsewhere. The build id decides; without one, the path has to do.

#pragma once

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

// Lower-case hexadecimal; empty where the file is no ELF file or has none.
std::string build_id_of(const std::string& path);

}  // namespace heapster::symbols
