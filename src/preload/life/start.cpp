// SPDX-License-Identifier: MIT
//
// The start of the measured process: what the loader calls before main.

#include <sys/auxv.h>

#include "preload/base/config.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/count/strings.h"
#include "preload/count/threads.h"
#include "preload/life/bindings.h"
#include "preload/life/build_segment.h"
#include "preload/life/coverage.h"
#include "preload/life/end.h"
#include "preload/life/fork.h"
#include "preload/next/next.h"
#include "preload/policy/limits.h"
#include "preload/sampling/sampler.h"
#include "preload/segment/texts.h"
#include "preload/shard/gate.h"
#include "preload/shard/writers.h"
#include "preload/snapshot/dump_signal.h"

namespace heapster::preload {

namespace {

void report_option(const char* assignment, bool accepted) {
  constexpr size_t kLongestOption = 120;
  add_text(accepted ? Text::k_option : Text::k_refused, assignment, kLongestOption);
  if (!accepted) raise(Note::k_option_refused);
}

__attribute__((constructor)) void start(int argument_count, const char* const* arguments,
                                        const char* const* environment) {
  const KeepErrno keep;
  if (!is_glibc() || getauxval(AT_SECURE) != 0) {
    store(process.stage, Stage::kOff);
    return;
  }
  const NextFacts facts = inspect_next();
  replace_strdups(facts);
  const bool readable = facts.is_libc && next.usable_size != nullptr && has_quick_bucket();
  process.headers = readable ? Headers::kOnProbation : Headers::kNotTrusted;
  note_process();
  read_config(environment, report_option);
  gather_lasting_texts(argument_count, arguments, facts.path);
  note_coverage(facts);
  if (!build_segment({.start = Start::kFresh, .parent_pid = 0, .parent_ticks = 0, .at_fork = {}})) {
    store(process.stage, Stage::kOff);
    return;
  }
  remember_loaded();
  watch_ends();
  watch_forks();
  start_limits();
  start_sampling();
  store(process.stage, Stage::kCounting);
  open_gate();
  start_threads();
  install_dump_signal(config.signal);
  say("counting");
}

}  // namespace

}  // namespace heapster::preload
