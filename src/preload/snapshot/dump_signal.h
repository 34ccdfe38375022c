// SPDX-License-Identifier: MIT
//
// The dump signal. A handler is installed only where the signal has its default disposition at the
// start; a handler that the program installs later wins, as if ours had never been there.

#pragma once

namespace heapster::preload {

void install_dump_signal(int number);

// What the program is told of a signal's action: where that is our handler, it is the default. `action` is libc's
// struct sigaction, or the kernel's; null is none.
void hide_dump_handler(void* action);
void hide_dump_handler_of_kernel(void* action);
void* hidden_dump_handler(void* handler);

// The same without the signal. Nothing happens in a process that is not the segment's, or makes no system call any
// more.
void dump_now();

}  // namespace heapster::preload
