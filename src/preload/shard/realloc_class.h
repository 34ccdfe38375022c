// SPDX-License-Identifier: MIT
//
// What a successful realloc of a block was: growth, shrink or same by usable size, and besides
// that a move where the pointer changed, by copying or by moving its pages. Growth and shrink are in usable bytes,
// because C's realloc does not tell the size that was asked for before.

#pragma once

#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

template <typename Writer>
inline void count_cell(Shard* shard, Cell ReallocLine::*cell, uint64_t bytes) {
  Cell& target = shard->reallocs[Writer::bucket(bytes)].*cell;
  Writer::add(target.count, uint64_t{1});
  Writer::add(target.bytes, bytes);
}

template <typename Writer>
inline void count_move(Shard* shard, uint64_t was, uint64_t is) {
  count_cell<Writer>(shard, &ReallocLine::realloc_move, was < is ? was : is);
  if (is > was) Writer::add(shard->counters.realloc_growth_moved_count, uint64_t{1});
  if (is < was) Writer::add(shard->counters.realloc_shrink_moved_count, uint64_t{1});
}

// Counted as a move besides.
template <typename Writer>
inline void count_remap(Shard* shard, uint64_t was, uint64_t is) {
  Writer::add(shard->counters.realloc_remap_count, uint64_t{1});
  Writer::add(shard->counters.realloc_remap_sum, was < is ? was : is);
}

}  // namespace heapster::preload
