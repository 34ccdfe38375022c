// SPDX-License-Identifier: MIT
//
// heapster show: the report, or all of it as JSON.

#include <unistd.h>

#include "report/formats.h"
#include "terminal.h"

namespace heapster::tool {

Outcome cmd_show(const Arguments& arguments) {
  CLI::App application("Shows what a process did to its heap.", "heapster show");
  std::string target;
  bool json = false;
  report::Wanted wanted;
  application.add_option("FILE|PID", target, "a snapshot, or a process: live, or the last dead one of that number")
      ->required();
  application.add_flag("--json", json, "everything as JSON");
  application.add_flag("--threads", wanted.threads, "a table of the threads");
  application.add_flag("--timeline", wanted.timeline, "the points of the timeline as a table");
  if (auto over = parse(application, arguments)) return *over;

  const auto snapshot = load_argument(target);
  if (!snapshot) return snapshot.error();
  if (json) return print(report::render_json(*snapshot));
  return print(report::render_text(report::make_report(*snapshot, wanted), look_of(STDOUT_FILENO)));
}

}  // namespace heapster::tool
