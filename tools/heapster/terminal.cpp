// SPDX-License-Identifier: MIT
//
// Output goes through write(2) and is checked to the last byte: a full disk behind `> file` must
// not look like success.

#include "terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "reader/find.h"
#include "reader/load.h"
#include "report/units.h"

namespace heapster::tool {

namespace {

using reader::Error;

// Whether all was written; EPIPE counts as that.
bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(descriptor, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno == EPIPE;
    text.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

reader::Result<reader::Snapshot> load_piped() {
  constexpr size_t kMost = 256 << 20;  // several times the largest snapshot that libheapster.so writes
  std::string bytes;
  char piece[64 * 1024];
  for (ssize_t got; (got = read(STDIN_FILENO, piece, sizeof piece)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{fmt::format("standard input: {}", std::strerror(errno))};
    bytes.append(piece, static_cast<size_t>(got));
    if (bytes.size() > kMost) return Error{"standard input: larger than 256 MiB"};
  }
  auto snapshot = reader::load(reader::MemorySource(bytes));
  return snapshot ? std::move(snapshot) : Error{"standard input: " + snapshot.error().text};
}

// Insertions, deletions, substitutions and swaps of neighbours from one word to the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  std::iota(cost[0].begin(), cost[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    cost[i][0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::optional<Outcome> parse(CLI::App& application, const Arguments& arguments) {
  try {
    application.parse(Arguments(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::CallForHelp&) {
    const std::string help = application.help();
    return print(help.ends_with('\n') ? help : help + "\n");
  } catch (const CLI::CallForVersion&) {
    return print(std::string("heapster ") + HEAPSTER_VERSION + "\n");
  } catch (const CLI::ParseError& fault) {
    return Error{fmt::format("{} ({} --help tells more)", fault.what(), application.get_name())};
  }
  return std::nullopt;
}

reader::Result<std::string> path_of(const std::string& argument) {
  return reader::resolve(argument, reader::run_directory());
}

reader::Result<reader::Found> find_argument(const std::string& argument) {
  const bool piped = argument == "-";
  const auto path = piped ? reader::Result<std::string>("") : path_of(argument);
  if (!path) return path.error();
  // Whoever names a file means what it leads to. What a PID leads to was planted, if it is a link.
  const auto links = *path == argument ? reader::Links::kFollow : reader::Links::kRefuse;
  auto snapshot = piped ? load_piped() : reader::load(*path, links);
  if (!snapshot) return snapshot.error();
  return reader::Found{*path, std::move(*snapshot)};
}

reader::Result<reader::Snapshot> load_argument(const std::string& argument) {
  auto found = find_argument(argument);
  if (!found) return found.error();
  return std::move(found->snapshot);
}

Outcome print(std::string_view text) {
  if (write_all(STDOUT_FILENO, text)) return kFine;
  return Error{fmt::format("standard output: {}", std::strerror(errno))};
}

Outcome write_file(const std::string& path, std::string_view text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const bool written = file >= 0 && write_all(file, text);
  const int fault = errno;
  const bool closed = file >= 0 && close(file) == 0;
  if (written && closed) return kFine;
  return Error{fmt::format("{}: {}", path, std::strerror(written ? errno : fault))};
}

report::Look look_of(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  return {.colour = isatty(descriptor) != 0 && (!refused || !*refused)};
}

size_t terminal_columns(int descriptor) {
  winsize size{};
  return isatty(descriptor) != 0 && ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& names) {
  const size_t furthest = std::max<size_t>(2, word.size() / 3);
  if (word.size() > 100) return "";  // no name, and costly to compare
  const auto nearest = std::min_element(names.begin(), names.end(),
                                        [&](auto a, auto b) { return distance(word, a) < distance(word, b); });
  if (nearest == names.end() || distance(word, *nearest) > furthest) return "";
  return fmt::format(" (did you mean '{}'?)", *nearest);
}

std::string one_line(std::string_view text) { return report::printable(text); }

}  // namespace heapster::tool
