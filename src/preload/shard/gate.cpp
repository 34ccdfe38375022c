// SPDX-License-Identifier: MIT

#include "preload/shard/gate.h"

#include "preload/base/notes.h"
#include "preload/base/process_state.h"
#include "preload/base/words.h"
#include "preload/next/next.h"
#include "preload/shard/writers.h"

namespace heapster::preload {

Gate gate;

namespace {

bool end_probation(Headers verdict) {
  auto seen = Headers::kOnProbation;
  return __atomic_compare_exchange(&process.headers, &seen, &verdict, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

}  // namespace

void open_gate() {
  store(gate.any, UINTPTR_MAX);
  const auto headers = load(process.headers);
  store(gate.fast, headers == Headers::kTrusted ? UINTPTR_MAX : 0);
  const bool asking = headers == Headers::kNotTrusted && next.usable_size != nullptr && has_quick_bucket();
  store(gate.asking, asking ? UINTPTR_MAX : 0);
}

void close_gate() { gate = {}; }

void trust_headers() {
  if (end_probation(Headers::kTrusted) && load(gate.any) != 0) open_gate();
}

void distrust_headers() {
  if (!end_probation(Headers::kNotTrusted)) return;
  raise(Note::k_usable_size_called);
  if (load(gate.any) != 0) open_gate();
}

}  // namespace heapster::preload
