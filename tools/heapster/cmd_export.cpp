// SPDX-License-Identifier: MIT
//
// heapster export: the formats of formats.h. Names are looked up only for those that tell of stacks.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "report/formats.h"
#include "symbol_options.h"
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

std::string weight_help() {
  std::string text = "what stacks are weighed by, one of";
  for (const report::WeightInfo& info : report::kWeights)
    text += fmt::format("{} {} ({})", &info == report::kWeights.data() ? "" : ",", info.name, info.help);
  return text;
}

reader::Result<report::Weight> weight_of(const std::string& name) {
  std::vector<std::string_view> names;
  for (const report::WeightInfo& info : report::kWeights) {
    if (info.name == name) return info.weight;
    names.push_back(info.name);
  }
  return reader::Error{
      fmt::format("no weight '{}'{}; there are {}", name, did_you_mean(name, names), fmt::join(names, ", "))};
}

std::string render(const report::Format& format, const reader::Snapshot& snapshot, report::Weight by,
                   const SymbolOptions& symbols) {
  if (!snapshot.stacks || format.stacks == report::StackUse::kNone) return format.render({snapshot, nullptr, by});
  ProgressSymbolizer symbolizer(symbols);
  const reader::Names names = symbolizer.names(*snapshot.stacks);
  if (snapshot.stacks->dropped() > 0)
    fmt::print(stderr, "heapster: tables were full: {} sampled blocks and {} stacks are missing\n",
               snapshot.stacks->sampling.samples_dropped, snapshot.stacks->sampling.stacks_dropped);
  for (const std::string& trouble : symbolizer.troubles()) fmt::print(stderr, "heapster: {}\n", one_line(trouble));
  return format.render({snapshot, &names, by});
}

}  // namespace

Outcome cmd_export(const Arguments& arguments) {
  CLI::App application("Writes a snapshot in another format.", "heapster export");
  std::string target, format_name, output, weight_name;
  SymbolOptions symbols;
  application.add_option("FILE|PID", target, "a snapshot, or a process")->required();
  application.add_option("-f,--format", format_name, format_help())->required()->type_name("FORMAT");
  application.add_option("-o,--output", output, "where to (default: standard output)");
  application.add_option("--by", weight_name, weight_help())->type_name("WEIGHT");
  add_symbol_options(application, symbols);
  if (auto over = parse(application, arguments)) return *over;

  const auto format = format_of(format_name);
  if (!format) return format.error();
  if (!weight_name.empty() && format->stacks != report::StackUse::kWeighed)
    return reader::Error{fmt::format("--by is not for {}", format->name)};
  const auto by = weight_of(weight_name.empty() ? std::string(report::kWeights[0].name) : weight_name);
  if (!by) return by.error();
  const auto snapshot = load_argument(target);
  if (!snapshot) return snapshot.error();
  if (needs_stacks(*format) && !snapshot->stacks)
    return reader::Error{
        fmt::format("{}: no stacks in it, which {} needs; the program has to run with HEAPSTER_STACKS=512K",
                    one_line(target), format->name)};
  std::error_code none;
  if (std::filesystem::equivalent(target, output, none))
    return reader::Error{one_line(output) + ": is the snapshot itself; --output has to be another file"};
  const std::string text = render(*format, *snapshot, *by, symbols);
  return output.empty() || output == "-" ? print(text) : write_file(output, text);
}

}  // namespace heapster::tool
