// SPDX-License-Identifier: MIT
//
// The program's end, however it comes: the last numbers, the snapshot, and the segment's file removed.

#pragma once

namespace heapster::preload {

// Has the program's exit lead here.
void watch_ends();

// Does nothing the second time, or in a process that is not the segment's. Async-signal-safe.
void finish();

// In a fork's child: nobody is at the end.
void forget_end();

// The program is about to restrict its system calls: prepares what needs one, and makes none from now
// on. There is no snapshot at the end then; the segment stays and says it all.
void fall_silent();

// A line on stderr, where HEAPSTER_VERBOSE asks for it.
void say(const char* what);

}  // namespace heapster::preload
