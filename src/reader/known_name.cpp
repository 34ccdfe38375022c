// SPDX-License-Identifier: MIT

#include "reader/known_name.h"

#include <algorithm>
#include <string_view>

#include "reader/path.h"

namespace heapster::reader {

namespace {

constexpr std::string_view kInterpreters[] = {"bash",   "dash",    "java", "ksh",   "lua",     "node",
                                              "nodejs", "perl",    "php",  "pypy",  "php-cgi", "sh",
                                              "python", "Rscript", "ruby", "tclsh", "zsh"};
constexpr std::string_view kTextFollows[] = {"-c", "-e", "-r", "--eval", "-"};                   // the program itself
constexpr std::string_view kNameFollows[] = {"-m", "-jar"};                                      // what is run
constexpr std::string_view kValueFollows[] = {"-cp", "-classpath", "--class-path", "-W", "-X"};  // of an option

template <size_t n>
bool is_one_of(const std::string_view (&words)[n], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// Python3.11 and php8.2 are python and php.
bool is_interpreter(std::string_view name) {
  const size_t last = name.find_last_not_of("0123456789.");
  return last != std::string_view::npos && is_one_of(kInterpreters, name.substr(0, last + 1));
}

// Empty where there is none.
std::string script_of(const std::vector<std::string>& command) {
  for (size_t i = 1; i < command.size(); ++i) {
    const std::string& word = command[i];
    if (is_one_of(kTextFollows, word)) return "";
    if (is_one_of(kNameFollows, word)) return i + 1 < command.size() ? last_part(command[i + 1]) : "";
    if (!word.starts_with('-')) return last_part(word);
    if (is_one_of(kValueFollows, word)) ++i;
  }
  return "";
}

}  // namespace

std::string known_name(const Process& process) {
  const std::string executable = short_name(process);
  std::string called = process.command.empty() ? executable : last_part(process.command.front());
  if (called.starts_with('-')) called.erase(0, 1);  // a login shell
  if (called.empty()) called = executable;
  if (!is_interpreter(called) && !is_interpreter(executable)) return called;
  const std::string script = script_of(process.command);
  return script.empty() ? called : called + " " + script;
}

}  // namespace heapster::reader
