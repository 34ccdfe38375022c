// SPDX-License-Identifier: MIT
//
// The one place where faults become text and an exit code: 0 fine, 1 the answer is "no", 2 usage
// or input error with one line on stderr.

#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "commands.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

std::string usage() {
  std::string text = "usage: heapster COMMAND [OPTIONS]\n\n";
  for (const Command& command : kCommands) text += fmt::format("  {:<9}{}\n", command.name, command.help);
  return text + "\nRun 'heapster COMMAND --help' for details, 'heapster --version' for the version.\n";
}

Outcome dispatch(const Arguments& words) {
  if (words.empty()) return reader::Error{"no command (heapster --help lists them)"};
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") return print(usage());
  if (words[0] == "--version") return print("heapster " HEAPSTER_VERSION "\n");
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) {
    if (command.name == words[0]) return command.run({words.begin() + 1, words.end()});
    names.push_back(command.name);
  }
  return reader::Error{fmt::format("no command '{}'{}", words[0], did_you_mean(words[0], names))};
}

Outcome guarded(const Arguments& words) try { return dispatch(words); } catch (const std::exception& fault) {
  return reader::Error{fault.what()};
}

}  // namespace

}  // namespace heapster::tool

int main(int argc, char** argv) {
  using namespace heapster::tool;
  const Outcome outcome = guarded({argv + (argc > 0), argv + argc});
  if (outcome) return *outcome;
  fmt::print(stderr, "heapster: {}\n", one_line(outcome.error().text));
  return kFault;
}
