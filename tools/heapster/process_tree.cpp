// SPDX-License-Identifier: MIT

#include "process_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "reader/find.h"
#include "reader/load.h"

namespace heapster::tool {

namespace {

namespace fs = std::filesystem;

bool started_by(const reader::Process& process, const reader::Process& root) {
  const Identity& identity = process.identity;
  return identity.root_pid == root.identity.pid && identity.root_ticks == root.identity.start_ticks;
}

using Show = std::function<void(const reader::Snapshot&)>;

// Whether there were any.
reader::Result<bool> each_in(const fs::path& directory, const reader::Process& root, const Show& show) {
  std::error_code fault;
  std::vector<std::string> paths;
  for (fs::directory_iterator at(directory, fault), end; !fault && at != end; at.increment(fault))
    if (at->path().extension() == ".heap" && !at->path().filename().string().starts_with('.'))
      paths.push_back(at->path());
  if (fault && fault != std::errc::no_such_file_or_directory && fault != std::errc::not_a_directory)
    return reader::Error{fmt::format("{}: {}", directory.string(), fault.message())};
  std::sort(paths.begin(), paths.end());
  bool any = false;
  for (const std::string& path : paths) {
    const auto snapshot = reader::load(path);
    if (!snapshot) return snapshot.error();  // who knows what it would tell
    if (!started_by(snapshot->process, root) || snapshot->process.life == reader::Life::kRunning) continue;
    show(*snapshot);
    any = true;
  }
  return any;
}

}  // namespace

reader::Result<reader::Done> each_descendant(const std::string& path, const reader::Process& process,
                                             const Show& show) {
  const fs::path file(path);
  if (!reader::parse_segment_name(file.filename())) {
    const std::string usual = fmt::format("heapster.{}.{}.heap.d", reader::short_name(process), process.identity.pid);
    for (const fs::path& directory : {fs::path(path + ".d"), file.parent_path() / usual}) {
      const auto any = each_in(directory, process, show);
      if (!any) return any.error();
      if (*any) break;
    }
    return reader::Done{};
  }
  const auto listing = reader::list(file.parent_path(), reader::Depth::kFigures);
  if (!listing) return listing.error();
  for (const reader::Found& found : listing->found)
    if (started_by(found.snapshot.process, process)) show(found.snapshot);
  return reader::Done{};
}

}  // namespace heapster::tool
