// SPDX-License-Identifier: MIT
//
// The exit handler is registered before the loader hands exit() the running of all destructors, which
// happens when all constructors are done. It is called after them, then, and sees what they free.

#include "preload/life/end.h"

#include <time.h>

#include "preload/base/config.h"
#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/text.h"
#include "preload/base/thread_state.h"
#include "preload/count/publish.h"
#include "preload/count/threads.h"
#include "preload/life/bindings.h"
#include "preload/life/coverage.h"
#include "preload/segment/segment_file.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/gate.h"
#include "preload/snapshot/snapshot_name.h"
#include "preload/snapshot/snapshot_writer.h"

namespace heapster::preload {

namespace {

constinit bool finished = false;

bool is_ours_to_finish() {
  return load(process.stage) == Stage::kCounting && load(gate.any) != 0 && !load(process.silent) &&
         process.pid == kernel::pid();
}

// A thread that ends the program while another one is already at it waits as long as that one, as if it were at it
// itself. It does not where it is the same: a signal's handler that came in between.
void await_the_other() {
  constexpr int kMostMilliseconds = 20'000;  // of a disk that does not answer
  const timespec millisecond = {.tv_sec = 0, .tv_nsec = 1'000'000};
  for (int i = 0; i < kMostMilliseconds && !load(finished) && load(process.finisher) != &thread_state; ++i) {
    kernel::call(__NR_nanosleep, kernel::as_long(&millisecond), 0);
  }
  if (!__atomic_exchange_n(&finished, true, __ATOMIC_ACQ_REL)) remove_temporaries();
}

void finish_ours() {
  const void* nobody = nullptr;
  if (!__atomic_compare_exchange_n(&process.finisher, &nobody, &thread_state, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_RELAXED)) {
    await_the_other();
    return;
  }
  const KeepErrno keep;
  gather_early();
  refresh_names();
  if (has_other_namespaces()) raise(Note::k_other_namespace);
  finish_publishing();
  Header* header = segment.header();
  stamp(header->ending);
  store(header->state, static_cast<uint32_t>(State::kExited));
  // Without a snapshot, heapster-run reads and removes the segment itself.
  const bool awaited = config.root_pid != 0 && snapshot_path()[0] == '\0';
  if (write_exit_snapshot() && segment.is_file() && !awaited) remove_segment_file(header->identity);
  say("done");
  __atomic_store_n(&finished, true, __ATOMIC_RELEASE);
}

// libc calls each handler once: another thread that ends the program meanwhile finds none of ours left, and would end
// it under our hands. So each leaves one more until the end is done, and two are there from the start: a thread may
// come before the first one has left its own.
template <int (*leave_one)(void (*handler)(void*))>
HEAPSTER_ALIGNS_STACK void on_exit(void*) {
  if (load(finished) || !is_ours_to_finish()) return;
  leave_one(on_exit<leave_one>);
  note_latecomers();
  finish_ours();
}

int leave_at_exit(void (*handler)(void*)) { return __cxa_atexit(handler, nullptr, nullptr); }
int leave_at_quick_exit(void (*handler)(void*)) { return __cxa_at_quick_exit(handler, nullptr); }

}  // namespace

void watch_ends() {
  for (int i = 0; i < 2; ++i) {
    leave_at_exit(on_exit<leave_at_exit>);
    leave_at_quick_exit(on_exit<leave_at_quick_exit>);
  }
}

void say(const char* what) {
  if (!config.verbose) return;
  HEAPSTER_ASIDE static constinit char line[kPathRoom + 128] =
      {};  // too large for a small stack; said at the start and the end
  TextBuilder text(line, sizeof line);
  text.add("heapster: ").add(what).add(" (pid ").add(process.pid).add(")");
  if (snapshot_path()[0] != '\0') text.add(", snapshot ").add_printable(snapshot_path());
  text.add('\n');
  kernel::write(2, line, text.size());
}

HEAPSTER_ALIGNS_STACK void fall_silent() {
  if (load(process.stage) != Stage::kCounting || load(gate.any) == 0 || load(process.silent) ||
      process.pid != kernel::pid())
    return;
  refresh_names();
  prepare_sharing();
  store(process.silent, true);
}

HEAPSTER_ALIGNS_STACK void finish() {
  if (is_ours_to_finish()) finish_ours();
}

void forget_end() {
  process.finisher = nullptr;
  finished = false;
}

}  // namespace heapster::preload
