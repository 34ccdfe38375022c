// SPDX-License-Identifier: MIT
//
// What every command shares: parsing its words, finding the file that is meant, printing, and
// hints for typing errors.

#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"
#include "reader/find.h"
#include "reader/snapshot.h"
#include "report/report.h"

namespace heapster::tool {

// Parses the words; an outcome means that the command is over (its help was printed, or the words
// are wrong). `application.name` of a command is "heapster NAME".
std::optional<Outcome> parse(CLI::App& application, const Arguments& arguments);

// Where the snapshot or segment lies that an argument names: a PID, or a path.
reader::Result<std::string> path_of(const std::string& argument);
// Reads it. A path may be a link; - is standard input, which has no path.
reader::Result<reader::Found> find_argument(const std::string& argument);
reader::Result<reader::Snapshot> load_argument(const std::string& argument);

// To standard output, all of it or a fault. A reader that went away (`| head`) is no fault.
Outcome print(std::string_view text);
Outcome write_file(const std::string& path, std::string_view text);

// Colour if `descriptor` is a terminal and NO_COLOR is unset or empty.
report::Look look_of(int descriptor);

// How wide the terminal is; 0 where it is none.
size_t terminal_columns(int descriptor);

// " (did you mean 'x'?)", or nothing where no name is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& names);

// Control characters and line breaks replaced: a fault is one line, whatever a file is called.
std::string one_line(std::string_view text);

}  // namespace heapster::tool
