// SPDX-License-Identifier: MIT
//
// A fork's child shares our mapping with its parent and must not write to it. The kernel wipes
// the gate page in the child, so its first call finds no shard and comes here; that call builds a
// segment of its own. Children that exec at once never get that far. What lived at the fork is
// added up in the parent, before the two part, by the atfork handler or by the hooks of what makes a child
// without it; a child made by a bare system call reads its parent's shards at its own first call, a moment later.

#include "preload/life/fork.h"

#include "preload/base/kernel.h"
#include "preload/base/libc.h"
#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/thread_state.h"
#include "preload/count/publish.h"
#include "preload/count/threads.h"
#include "preload/count/totals.h"
#include "preload/inside/interface.h"
#include "preload/life/build_segment.h"
#include "preload/life/coverage.h"
#include "preload/life/end.h"
#include "preload/policy/limits.h"
#include "preload/sampling/sampler.h"
#include "preload/sampling/stack_tables.h"
#include "preload/segment/segment_memory.h"
#include "preload/shard/gate.h"
#include "preload/snapshot/snapshot_writer.h"

namespace heapster::preload {

namespace {

constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK, Linux 4.14

constinit uint32_t becoming_child = 0;

// What lives at a fork, added up by the parent. Several threads may fork at once; one that finds no
// place leaves its child to look for itself.
struct ForkBaseline {
  uint32_t taken;
  AtFork sums;
  Cell cells[kBuckets];
};
constexpr uint32_t kForksAtOnce = 4;
HEAPSTER_ASIDE ForkBaseline baselines[kForksAtOnce];
HEAPSTER_ASIDE ForkBaseline own_look;  // of a child whose parent left it none

void add_up(ForkBaseline& baseline) {
  const Totals totals = sum_totals();
  const AtFork& before = segment.header()->at_fork;
  baseline.sums.live_bytes = totals.live_bytes + before.live_bytes;
  baseline.sums.live_count = static_cast<int64_t>(totals.alloc.count - totals.dealloc.count) + before.live_count;
  sum_live_cells(baseline.cells);
}

// What lived at the fork, for the child; true where it had to look for itself, a moment later.
bool find_baseline(const ForkBaseline*& found) {
  found = thread_state.baseline != 0 ? &baselines[thread_state.baseline - 1] : &own_look;
  if (thread_state.baseline == 0) add_up(own_look);
  return thread_state.baseline == 0;
}

// What the parent's other threads were at when it forked is nothing to the child.
void restart() {
  restart_threads();
  restart_publishing();
  restart_snapshots();
  forget_baseline();
  for (ForkBaseline& baseline : baselines) baseline.taken = 0;
  keep_notes_in(nullptr);
  forget_end();
}

// The first call of a fork's child.
void become_child() {
  const TryLock lock(becoming_child);
  if (!lock || load(gate.any) != 0) return;
  if (load(process.silent)) {
    store(process.stage, Stage::kOff);
    return;
  }
  const ForkBaseline* baseline = nullptr;
  const bool approximate = find_baseline(baseline);
  const Origin origin{.start = Start::kForked,
                      .parent_pid = process.pid,
                      .parent_ticks = segment.header()->identity.start_ticks,
                      .at_fork = baseline->sums};
  segment.abandon();
  stacks.abandon();
  restart();
  note_coverage_again();
  if (approximate) raise(Note::k_baseline_approximate);
  store(process.stage, Stage::kOff);
  note_process();
  if (!build_segment(origin)) return;
  memcpy(segment.at<Cell>(kLiveAtForkOffset), baseline->cells, sizeof baseline->cells);
  restart_limits();
  start_sampling();
  store(process.stage, Stage::kCounting);
  open_gate();
}

}  // namespace

void watch_forks() {
  let_children_begin(become_child);
  __register_atfork(before_fork, after_fork_in_parent, after_fork_in_child, nullptr);
  kernel::advise(&gate, sizeof gate, kWipeOnFork);
}

HEAPSTER_ALIGNS_STACK void before_fork() {
  // A child that has made no call yet keeps what its parent left it, for its own children.
  if (load(process.stage) != Stage::kCounting || load(gate.any) == 0) return;
  for (uint32_t i = 0; i < kForksAtOnce && thread_state.baseline == 0; ++i) {
    if (__atomic_exchange_n(&baselines[i].taken, 1u, __ATOMIC_ACQUIRE) != 0) continue;
    add_up(baselines[i]);
    thread_state.baseline = i + 1;
  }
}

void after_fork_in_parent() {
  if (thread_state.baseline == 0 || load(gate.any) == 0) return;
  __atomic_store_n(&baselines[thread_state.baseline - 1].taken, 0u, __ATOMIC_RELEASE);
  thread_state.baseline = 0;
}

// The kernel closed the gate, unless it is older than 4.14; and another library's handler may have
// allocated before ours, so that the child is itself already.
void after_fork_in_child() {
  if (process.pid == kernel::pid()) return;
  close_gate();
  thread_state.shard = nullptr;
}

}  // namespace heapster::preload
