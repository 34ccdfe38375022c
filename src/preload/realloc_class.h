// SPDX-License-Identifier: MIT
//
// What a successful realloc of a block was: growth, shrink or same by usable size, and besides
// that a move where the pointer changed. Growth and shrink are in usable bytes, because C's
// realloc does not tell the size that was asked for before.

#pragma once

#include <cstdint>

#include "layout/segment.h"

namespace heapster::preload {

struct Reallocation {
  uint64_t was;  // usable bytes before
  uint64_t is;   // and after
  bool moved;

  uint64_t copied() const { return was < is ? was : is; }
};

template <typename Writer>
inline void count_cell(Shard* shard, Cell ReallocLine::*cell, uint64_t bytes) {
  Cell& target = shard->reallocs[Writer::bucket(bytes)].*cell;
  Writer::add(target.count, uint64_t{1});
  Writer::add(target.bytes, bytes);
}

template <typename Writer>
inline void count_move(Shard* shard, Reallocation what) {
  count_cell<Writer>(shard, &ReallocLine::realloc_move, what.copied());
  if (what.is > what.was) Writer::add(shard->counters.realloc_growth_moved_count, uint64_t{1});
  if (what.is < what.was) Writer::add(shard->counters.realloc_shrink_moved_count, uint64_t{1});
}

template <typename Writer>
inline void count_class(Shard* shard, Reallocation what) {
  if (what.is > what.was) {
    count_cell<Writer>(shard, &ReallocLine::realloc_growth, what.is - what.was);
  } else if (what.is < what.was) {
    count_cell<Writer>(shard, &ReallocLine::realloc_shrink, what.was - what.is);
  } else {
    Writer::add(shard->counters.realloc_same_count, uint64_t{1});
  }
  if (what.moved) count_move<Writer>(shard, what);
}

}  // namespace heapster::preload
