// SPDX-License-Identifier: MIT
//
// What makes a fork's child a measured process of its own.

#pragma once

namespace heapster::preload {

// From now on.
void watch_forks();

// Around whatever makes a child that has this memory as its own. Async-signal-safe.
void before_fork();
void after_fork_in_parent();
void after_fork_in_child();

}  // namespace heapster::preload
