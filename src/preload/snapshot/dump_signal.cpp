// SPDX-License-Identifier: MIT

#include "preload/snapshot/dump_signal.h"

#include <signal.h>

#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/objects.h"
#include "preload/base/process_state.h"
#include "preload/count/threads.h"
#include "preload/next/next.h"
#include "preload/snapshot/snapshot_writer.h"

namespace heapster::preload {

namespace {

void on_signal(int) {
  if (load(process.silent)) return;
  const KeepErrno keep;
  find_target();  // a fork's child gets its own segment now, if it has none yet
  dump_now();
}

bool is_our_handler(const void* handler) { return handler == reinterpret_cast<const void*>(&on_signal); }

// Of an action as system calls tell it; its mask, which follows, is empty where the handler is ours.
struct KernelAction {
  void* handler;
  unsigned long flags;
  void* restorer;
};

}  // namespace

void dump_now() {
  if (load(process.silent) || load(process.stage) != Stage::kCounting || process.pid != kernel::pid()) return;
  write_dump();
}

void install_dump_signal(int number) {
  if (number == 0) return;
  const KeepErrno keep;
  struct sigaction action {};
  if (next.sigaction(number, nullptr, &action) != 0) return;
  if (action.sa_handler != SIG_DFL) {
    raise(Note::k_signal_taken);
    return;
  }
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  next.sigaction(number, &action, nullptr);
}

void* hidden_dump_handler(void* handler) { return is_our_handler(handler) ? nullptr : handler; }  // SIG_DFL

void hide_dump_handler(void* action) {
  auto* told = static_cast<struct sigaction*>(action);
  if (told == nullptr || !is_our_handler(reinterpret_cast<const void*>(told->sa_handler))) return;
  told->sa_handler = SIG_DFL;
  told->sa_flags = 0;
  told->sa_restorer = nullptr;
}

void hide_dump_handler_of_kernel(void* action) {
  auto* told = static_cast<KernelAction*>(action);
  if (told != nullptr && is_our_handler(told->handler)) *told = {};
}

}  // namespace heapster::preload
