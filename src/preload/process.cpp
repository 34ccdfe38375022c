// SPDX-License-Identifier: MIT
//
// The exit handler is registered before the loader hands exit() the running of all destructors, which
// happens when all constructors are done. It is called after them, then, and sees what they free.
//
// A fork's child shares our mapping with its parent and must not write to it. The kernel wipes
// the gate page in the child, so its first call finds no shard and comes here; that call builds a
// segment of its own. Children that exec at once never get that far. What lived at the fork is
// added up in the parent, before the two part, by the atfork handler or by the hooks of what makes a child
// without it; a child made by a bare system call reads its parent's shards at its own first call, a moment later.

#include "preload/process.h"

#include <elf.h>
#include <time.h>

#include "preload/bindings.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/dump_signal.h"
#include "preload/early_arena.h"
#include "preload/kernel.h"
#include "preload/libc.h"
#include "preload/limits.h"
#include "preload/notes.h"
#include "preload/objects.h"
#include "preload/publish.h"
#include "preload/recorder.h"
#include "preload/sampler.h"
#include "preload/segment_file.h"
#include "preload/snapshot_name.h"
#include "preload/snapshot_writer.h"
#include "preload/stack_tables.h"
#include "preload/start.h"
#include "preload/text.h"
#include "preload/texts.h"

namespace heapster::preload {

constinit Process process = {};
Gate gate;

namespace {

constexpr int kWipeOnFork = 18;  // MADV_WIPEONFORK, Linux 4.14

constinit const void* finisher = nullptr;  // the thread that is at the end
constinit bool finished = false;
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

void open_gate() {
  store(gate.any, UINTPTR_MAX);
  const auto headers = load(process.headers);
  store(gate.fast, headers == Headers::kTrusted ? UINTPTR_MAX : 0);
  const bool asking = headers == Headers::kNotTrusted && next.usable_size != nullptr && has_quick_bucket();
  store(gate.asking, asking ? UINTPTR_MAX : 0);
}

void close_gate() { gate = {}; }

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

// Notes about the next allocator hold for a fork's child as well.
constinit uint64_t lasting_notes = 0;

void raise_lasting(Note note) {
  raise(note);
  lasting_notes |= uint64_t{1} << static_cast<uint32_t>(note);
}

void raise_lasting_again() {
  for (uint32_t i = 0; i < kMaxNotes; ++i) {
    if ((lasting_notes >> i & 1) != 0) raise(static_cast<Note>(i));
  }
}

// Set while the next allocator's operator new goes past us, but nobody is there to call it.
constinit bool awaiting_cplusplus = false;
constinit bool forked = false;
constinit bool own_interface_possible = false;  // libc has none

// What the parent's other threads were at when it forked is nothing to the child.
void restart() {
  restart_threads();
  restart_publishing();
  restart_snapshots();
  forget_baseline();
  for (ForkBaseline& baseline : baselines) baseline.taken = 0;
  keep_notes_in(nullptr);
  finisher = nullptr;
  finished = false;
}

void note_process() {
  process.pid = kernel::pid();
  process.uid = kernel::effective_uid();
  process.started = fine_time_of_kernel();
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
  raise_lasting_again();
  forked = true;
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

bool end_probation(Headers verdict) {
  auto seen = Headers::kOnProbation;
  return __atomic_compare_exchange(&process.headers, &seen, &verdict, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
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

void note_bypassed_new() {
  awaiting_cplusplus = !speaks_cplusplus(home_of_next());
  if (!awaiting_cplusplus) raise_lasting(Note::k_new_bypasses_malloc);
}

// What the program loaded meanwhile may be out of our reach. A fork's child does not look: whoever held
// the loader's lock at the fork is not there to release it.
void note_latecomers() {
  if (forked) return;
  if (awaiting_cplusplus) note_bypassed_new();
  if (binds_elsewhere()) raise(Note::k_bound_elsewhere);
  if (own_interface_possible && latecomer_calls_own_interface()) raise(Note::k_own_interface);
}

bool is_ours_to_finish() {
  return load(process.stage) == Stage::kCounting && load(gate.any) != 0 && !load(process.silent) &&
         process.pid == kernel::pid();
}

// A thread that ends the program while another one is already at it waits as long as that one, as if it were at it
// itself. It does not where it is the same: a signal's handler that came in between.
void await_the_other() {
  constexpr int kMostMilliseconds = 20'000;  // of a disk that does not answer
  const timespec millisecond = {.tv_sec = 0, .tv_nsec = 1'000'000};
  for (int i = 0; i < kMostMilliseconds && !load(finished) && load(finisher) != &thread_state; ++i) {
    kernel::call(__NR_nanosleep, kernel::as_long(&millisecond), 0);
  }
  if (!__atomic_exchange_n(&finished, true, __ATOMIC_ACQ_REL)) remove_temporaries();
}

void finish_ours() {
  const void* nobody = nullptr;
  if (!__atomic_compare_exchange_n(&finisher, &nobody, &thread_state, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
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

void report_option(const char* assignment, bool accepted) {
  constexpr size_t kLongestOption = 120;
  add_text(accepted ? Text::k_option : Text::k_refused, assignment, kLongestOption);
  if (!accepted) raise(Note::k_option_refused);
}

// Who serves the program's calls, if not us.
void note_who_is_first() {
  Sought first = {"malloc"};
  find_bound(&first, 1, nullptr);
  if (first.found == own_malloc()) return;
  const void* executable = object_of(reinterpret_cast<const void*>(getauxval(AT_PHDR))).base;
  raise_lasting(object_of(first.found).base == executable ? Note::k_executable_defines_malloc
                                                          : Note::k_allocator_before_us);
}

void note_coverage(const NextFacts& facts) {
  note_who_is_first();
  if (valgrind_takes_malloc()) raise_lasting(Note::k_allocator_before_us);
  if (facts.defines_new && !counts_operators) note_bypassed_new();
  if (next.usable_size == nullptr) raise_lasting(Note::k_no_usable_size);
  if (!facts.is_libc) raise_lasting(Note::k_usable_size_called);
  own_interface_possible = !facts.is_libc;
  if (own_interface_possible && calls_own_interface()) raise_lasting(Note::k_own_interface);
  if (early_arena.used()) raise(Note::k_arena_used);
}

void watch_ends() {
  for (int i = 0; i < 2; ++i) {
    leave_at_exit(on_exit<leave_at_exit>);
    leave_at_quick_exit(on_exit<leave_at_quick_exit>);
  }
  __register_atfork(before_fork, after_fork_in_parent, after_fork_in_child, nullptr);
  kernel::advise(&gate, sizeof gate, kWipeOnFork);
}

__attribute__((constructor)) void start(int argument_count, const char* const* arguments,
                                        const char* const* environment) {
  const KeepErrno keep;
  if (!is_glibc() || getauxval(AT_SECURE) != 0) {
    store(process.stage, Stage::kOff);
    return;
  }
  const NextFacts facts = inspect_next();
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
  start_limits();
  start_sampling();
  store(process.stage, Stage::kCounting);
  open_gate();
  start_threads();
  install_dump_signal(config.signal);
  say("counting");
}

}  // namespace

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

void trust_headers() {
  if (end_probation(Headers::kTrusted) && load(gate.any) != 0) open_gate();
}

void distrust_headers() {
  if (!end_probation(Headers::kNotTrusted)) return;
  raise(Note::k_usable_size_called);
  if (load(gate.any) != 0) open_gate();
}

HEAPSTER_ALIGNS_STACK Target find_target() {
  switch (load(process.stage)) {
    case Stage::kOff:
      return {nullptr, false};
    case Stage::kEarly:
      return early_target();
    case Stage::kCounting:
      break;
  }
  if (load(gate.any) == 0) become_child();
  if (load(gate.any) == 0) return load(process.stage) == Stage::kOff ? Target{nullptr, false} : early_target();
  return claim_target();
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

bool ending() { return load(finisher) != nullptr; }

}  // namespace heapster::preload
