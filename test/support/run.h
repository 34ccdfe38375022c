// SPDX-License-Identifier: MIT
//
// Runs real programs for the tests: with their own run directory and working directory, never the
// user's, and with everything that they print and leave behind at hand.

#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reader/find.h"
#include "reader/snapshot.h"

namespace heapster::test {

using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

struct Ended {
  int exit_code = -1;    // of a program that ended by itself
  int signal = 0;        // that ended it
  std::string out, err;  // what it printed
};

// A place of its own for one test: removed at its end, and named after nothing else.
class Sandbox {
 public:
  Sandbox();
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  const std::string& directory() const { return directory_; }          // the programs' working directory
  const std::string& run_directory() const { return run_directory_; }  // on a tmpfs
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // A copy of a program or a library in there: the build directory may be closed to other users.
  std::string copy_of(const std::string& file) const;

  // The variables that every measured program gets: LD_PRELOAD and the run directory.
  Variables measured() const;

  // Runs a program to its end with these variables instead of any HEAPSTER_ and LD_PRELOAD of ours.
  Ended run(const Words& command, const Variables& variables = {}, const std::string& input = {}) const;
  Ended run_measured(const Words& command, Variables more = {}, const std::string& input = {}) const;

  // The snapshots in the working directory, by name.
  std::vector<reader::Found> snapshots() const;
  // The only one there; a test failure and an empty one otherwise.
  reader::Snapshot snapshot() const;

 private:
  std::string directory_;
  std::string run_directory_;
};

// A program that goes on while the test looks at it. Killed at the end of its scope.
class Background {
 public:
  Background(const Sandbox& sandbox, const Words& command, const Variables& variables);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t pid() const { return pid_; }
  // The next line of its standard output; empty at its end.
  std::string line();
  void send(int signal) const;
  // Ends a wait of the program's for its standard input.
  void say(const std::string& text) const;
  Ended wait();

 private:
  pid_t pid_ = 0;
  int input_ = -1;
  int output_ = -1;
  std::string read_;
};

// Tries until it holds or some seconds have passed; what it said last.
bool eventually(const std::function<bool()>& holds);

std::string read_file(const std::string& path);

// Paths that the build told us.
std::string preload_path();
std::string new_preload_path();  // libheapster-new.so
std::string heapster_path();
std::string program_path(const std::string& name);
std::string source_path(const std::string& name);

}  // namespace heapster::test
