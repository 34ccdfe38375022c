// SPDX-License-Identifier: MIT

#include "preload/dump_signal.h"

#include <signal.h>

#include "preload/kernel.h"
#include "preload/libc.h"
#include "preload/notes.h"
#include "preload/process.h"
#include "preload/snapshot_writer.h"

namespace heapster::preload {

namespace {

void on_signal(int) {
  if (load(process.silent)) return;
  const KeepErrno keep;
  find_target();  // a fork's child gets its own segment now, if it has none yet
  dump_now();
}

}  // namespace

void dump_now() {
  if (load(process.silent) || load(process.stage) != Stage::kCounting || process.pid != kernel::pid()) return;
  write_dump();
}

void install_dump_signal(int number) {
  if (number == 0) return;
  const KeepErrno keep;
  struct sigaction action {};
  if (sigaction(number, nullptr, &action) != 0) return;
  if (action.sa_handler != SIG_DFL) {
    raise(Note::k_signal_taken);
    return;
  }
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(number, &action, nullptr);
}

}  // namespace heapster::preload
