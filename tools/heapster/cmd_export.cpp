// SPDX-License-Identifier: MIT
//
// heapster export: the formats of formats.h.

#include <fmt/format.h>

#include <algorithm>

#include "report/formats.h"
#include "terminal.h"

namespace heapster::tool {

namespace {

std::string format_help() {
  std::string text = "one of";
  for (const report::Format& format : report::kFormats)
    text += fmt::format("{} {} ({})", &format == report::kFormats.data() ? "" : ",", format.name, format.help);
  return text;
}

reader::Result<report::Format> format_of(const std::string& name) {
  std::vector<std::string_view> names;
  for (const report::Format& format : report::kFormats) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  return reader::Error{
      fmt::format("no format '{}'{}; there are {}", name, did_you_mean(name, names), fmt::join(names, ", "))};
}

}  // namespace

Outcome cmd_export(const Arguments& arguments) {
  CLI::App application("Writes a snapshot in another format.", "heapster export");
  std::string target, format_name, output;
  application.add_option("FILE|PID", target, "a snapshot, or a process")->required();
  application.add_option("-f,--format", format_name, format_help())->required()->type_name("FORMAT");
  application.add_option("-o,--output", output, "where to (default: standard output)");
  if (auto over = parse(application, arguments)) return *over;

  const auto format = format_of(format_name);
  if (!format) return format.error();
  const auto snapshot = load_argument(target);
  if (!snapshot) return snapshot.error();
  const std::string text = format->render(*snapshot);
  return output.empty() || output == "-" ? print(text) : write_file(output, text);
}

}  // namespace heapster::tool
