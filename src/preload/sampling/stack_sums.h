// SPDX-License-Identifier: MIT
//
// What a sample adds to its stack's figures, and takes from them, in the course of its life. Whatever it is counted in
// has its variance beside it; where each block is sampled, nothing is estimated.

#pragma once

#include <cstdint>

#include "layout/stacks.h"
#include "preload/base/poisson.h"
#include "preload/base/words.h"

namespace heapster::preload {

inline Spread spread_of(const Sample& sample) {
  return spread_of(sample.bytes, {sample.weight_count, sample.weight_bytes});
}

// What was counted with one spread is now counted with another one.
template <typename Writer>
void change_spread(Stack& stack, const Spread& was, const Spread& is) {
  Writer::add(stack.alloc_count_variance, is.count - was.count);
  Writer::add(stack.alloc_count_squares, is.count * is.count - was.count * was.count);
  Writer::add(stack.alloc_bytes_variance, is.bytes - was.bytes);
  Writer::add(stack.live_bytes_variance, is.bytes - was.bytes);
}

template <typename Writer>
void add_allocated(Stack& stack, const Sample& sample, uint64_t mean) {
  Writer::add(stack.samples, uint64_t{1});
  Writer::add(stack.alloc_count, sample.weight_count);
  Writer::add(stack.alloc_bytes, sample.weight_bytes);
  if (mean > 1) change_spread<Writer>(stack, {0, 0}, spread_of(sample));
}

template <typename Writer>
void add_freed(Stack& stack, const Sample& sample, uint64_t mean) {
  Writer::add(stack.freed_samples, uint64_t{1});
  Writer::add(stack.freed_count, sample.weight_count);
  Writer::add(stack.freed_bytes, sample.weight_bytes);
  if (mean > 1) Writer::add(stack.live_bytes_variance, -spread_of(sample).bytes);
}

template <typename Writer>
void add_temporary(Stack& stack, const Sample& sample, uint64_t mean) {
  Writer::add(stack.temporary_samples, uint64_t{1});
  Writer::add(stack.temporary_count, sample.weight_count);
  Writer::add(stack.temporary_bytes, sample.weight_bytes);
  if (mean <= 1) return;
  const double part = spread_of(sample).count;
  Writer::add(stack.temporary_count_variance, part);
  Writer::add(stack.temporary_count_squares, part * part);
}

// A reallocation gave the block so many bytes, which stand for so many. Growth brings bytes and lowers the number of
// blocks that this one stands for; a shrunken block frees some of its bytes, and stands for more.
template <typename Writer>
void add_resized(Stack& stack, const Sample& sample, uint64_t bytes, const Weight& weight, uint64_t mean) {
  const bool more = weight.bytes >= sample.weight_bytes;
  const uint64_t by = more ? weight.bytes - sample.weight_bytes : sample.weight_bytes - weight.bytes;
  Writer::add(stack.alloc_count, weight.count - sample.weight_count);
  Writer::add(more ? stack.alloc_bytes : stack.freed_bytes, by);
  if (mean <= 1) return;
  change_spread<Writer>(stack, spread_of(sample), spread_of(bytes, weight));
  if (!more) Writer::add(stack.shrunk_bytes_error, static_cast<double>(by) * doubt(bytes, mean));
}

// The block gave back the last of its marked bytes: what it stood for is freed, but for the block itself, which lives
// on among those that others stand for. What was allocated is so, whatever became of it.
template <typename Writer>
void add_lost(Stack& stack, const Sample& sample) {
  Writer::add(stack.freed_samples, uint64_t{1});
  Writer::subtract(stack.alloc_count, sample.weight_count);
  Writer::add(stack.freed_bytes, sample.weight_bytes);
  const Spread part = spread_of(sample);
  change_spread<Writer>(stack, part, {0, 0});
  Writer::add(stack.alloc_bytes_variance, part.bytes);
}

// What the stack holds now is what it held at the peak.
inline void keep_as_peak(Stack& stack) {
  store(stack.peak_count, load(stack.alloc_count) - load(stack.freed_count));
  store(stack.peak_bytes, load(stack.alloc_bytes) - load(stack.freed_bytes));
  store(stack.peak_samples, load(stack.samples) - load(stack.freed_samples));
  store(stack.peak_bytes_variance, load(stack.live_bytes_variance));
}

}  // namespace heapster::preload
