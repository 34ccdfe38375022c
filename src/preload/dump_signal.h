// SPDX-License-Identifier: MIT
//
// The dump signal. A handler is installed only where the signal has its default disposition at the
// start; a handler that the program installs later wins, as if ours had never been there.

#pragma once

namespace heapster::preload {

void install_dump_signal(int number);

}  // namespace heapster::preload
