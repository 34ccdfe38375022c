// SPDX-License-Identifier: MIT
//
// The shell does the redirecting, so that a test can say `| head -1` or `> /dev/full`.

#include "program.h"

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "living.h"

namespace heapster::test {

std::string read_whole(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Ran run_shell(const std::string& line, const std::string& input) {
  const RunDirectory place;
  const std::string in = place.write("in", input);
  const std::string out = place.path() + "/out";
  const std::string err = place.path() + "/err";
  const int status = std::system(("(" + line + ") <" + in + " >" + out + " 2>" + err).c_str());
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, read_whole(out), read_whole(err)};
}

}  // namespace heapster::test
